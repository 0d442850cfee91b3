// A container's figures over the last five minutes.

import { useEffect, useRef, useState } from "preact/hooks";
import { useCell } from "../data/cell";
import { statsOf } from "../data/engine";
import { failureOf, type Failure } from "../data/http";
import { brightness } from "../data/settings";
import { Problem } from "../parts/problem";
import { bytes, t, type Key } from "../text";
import { Meter, type Sample } from "./figures";

const spanMs = 5 * 60 * 1000;

interface Line {
	label: Key;
	color: string;
	of: (s: Sample) => number;
}

interface PlotKind {
	title: Key;
	lines: Line[];
	format: (n: number) => string;
	/** The top of the scale is at least this. */
	least: number;
}

const rate = (n: number) => `${bytes(n)}/s`;

const plots: PlotKind[] = [
	{ title: "stats.cpu", least: 10, format: (n) => `${n.toFixed(n < 10 ? 1 : 0)} %`, lines: [{ label: "stats.cpu", color: "--accent", of: (s) => s.cpu }] },
	{ title: "stats.memory", least: 1e6, format: bytes, lines: [{ label: "stats.memory", color: "--accent", of: (s) => s.memory }] },
	{
		title: "stats.network",
		least: 1e3,
		format: rate,
		lines: [
			{ label: "stats.in", color: "--accent", of: (s) => s.received },
			{ label: "stats.out", color: "--green", of: (s) => s.sent },
		],
	},
	{
		title: "stats.disk",
		least: 1e3,
		format: rate,
		lines: [
			{ label: "stats.read", color: "--accent", of: (s) => s.read },
			{ label: "stats.write", color: "--green", of: (s) => s.written },
		],
	},
];

export function Stats({ api, id }: { api: string; id: string }) {
	const [samples, setSamples] = useState<Sample[]>([]);
	const [failure, setFailure] = useState<Failure | null>(null);
	const [round, setRound] = useState(0);
	useEffect(() => {
		const stop = new AbortController();
		const meter = new Meter();
		setFailure(null);
		void (async () => {
			try {
				for await (const raw of statsOf(api, id, stop.signal)) {
					const sample = meter.take(raw);
					if (Number.isNaN(sample.at)) continue;
					setSamples((all) => [...all.filter((s) => s.at > sample.at - spanMs), sample]);
				}
			} catch (err) {
				if (!stop.signal.aborted) setFailure(failureOf(err));
			}
		})();
		return () => stop.abort();
	}, [api, id, round]);
	if (failure) {
		return (
			<div style="padding:12px">
				<Problem what={t("failed.stats")} failure={failure}>
					<button type="button" class="button" onClick={() => setRound(round + 1)}>{t("try.again")}</button>
				</Problem>
			</div>
		);
	}
	if (samples.length === 0) return <p class="waiting" role="status">{t("stats.waiting")}</p>;
	return (
		<div class="stats" data-test="stats" tabIndex={0} role="group" aria-label={t("view.stats")}>
			{plots.map((plot) => (
				<Plot key={plot.title} plot={plot} samples={samples} />
			))}
		</div>
	);
}

function Plot({ plot, samples }: { plot: PlotKind; samples: Sample[] }) {
	const canvas = useRef<HTMLCanvasElement>(null);
	const light = useCell(brightness);
	const [width, setWidth] = useState(0);
	const last = samples[samples.length - 1]!;
	const top = scaleTop(Math.max(plot.least, ...samples.flatMap((s) => plot.lines.map((l) => l.of(s)))));
	useEffect(() => {
		const seen = new ResizeObserver(([entry]) => setWidth(Math.round(entry!.contentRect.width)));
		seen.observe(canvas.current!);
		return () => seen.disconnect();
	}, []);
	useEffect(() => draw(canvas.current!, plot, samples, top), [samples, light, width]);
	const value = (l: Line) => plot.format(l.of(last)) + (plot.title === "stats.memory" && last.memoryLimit ? ` / ${bytes(last.memoryLimit)}` : "");
	return (
		<figure class="plot">
			<header>
				<h2>{t(plot.title)}</h2>
				{plot.lines.map((l) => (
					<span key={l.label} class="value">
						{plot.lines.length > 1 && <span class="swatch" style={{ background: `var(${l.color})` }} />}
						{plot.lines.length > 1 && t(l.label) + " "}
						<b>{value(l)}</b>
					</span>
				))}
			</header>
			<canvas ref={canvas} role="img" aria-label={`${t(plot.title)}: ${plot.lines.map((l) => `${t(l.label)} ${value(l)}`).join(", ")}`} />
			<footer>
				<span>{t("stats.span")}</span>
				<span>{t("stats.top", { top: plot.format(top) })}</span>
			</footer>
		</figure>
	);
}

/** The next of 1, 2, 5, 10, … that holds all. */
function scaleTop(most: number): number {
	const unit = 10 ** Math.floor(Math.log10(most));
	return [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= most) ?? 20 * unit;
}

function draw(canvas: HTMLCanvasElement, plot: PlotKind, samples: Sample[], top: number): void {
	const pen = canvas.getContext("2d");
	const { clientWidth: width, clientHeight: height } = canvas;
	if (!pen || width === 0) return;
	const dots = devicePixelRatio || 1;
	canvas.width = Math.round(width * dots);
	canvas.height = Math.round(height * dots);
	pen.scale(dots, dots);
	const style = getComputedStyle(canvas);
	// A variable holds light-dark(); only a property that uses it is a colour.
	const color = (name: string) => {
		canvas.style.color = `var(${name})`;
		return style.color;
	};
	pen.lineWidth = 1;
	pen.strokeStyle = color("--line");
	for (let i = 0; i <= 2; i++) {
		const y = Math.round((height - 1) * (i / 2)) + 0.5;
		pen.beginPath();
		pen.moveTo(0, Math.min(y, height - 0.5));
		pen.lineTo(width, Math.min(y, height - 0.5));
		pen.stroke();
	}
	const end = samples[samples.length - 1]!.at;
	const x = (s: Sample) => width - ((end - s.at) / spanMs) * width;
	for (const line of plot.lines) {
		const y = (s: Sample) => height - 1 - Math.min(1, line.of(s) / top) * (height - 3);
		pen.strokeStyle = pen.fillStyle = color(line.color);
		pen.lineWidth = 1.5;
		pen.lineJoin = "round";
		pen.beginPath();
		for (const s of samples) pen.lineTo(x(s), y(s));
		pen.stroke();
		if (plot.lines.length === 1) {
			pen.lineTo(width, height);
			pen.lineTo(x(samples[0]!), height);
			pen.globalAlpha = 0.1;
			pen.fill();
			pen.globalAlpha = 1;
		}
	}
}
