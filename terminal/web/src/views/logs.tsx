// A container's log. Lines are put on the page without the component's help:
// there may be thousands a second.

import { useEffect, useRef, useState } from "preact/hooks";
import { useCell } from "../data/cell";
import { brightness } from "../data/settings";
import { inspectContainer, logsOf, type LogLine } from "../data/engine";
import { failureOf, type Failure } from "../data/http";
import { IconButton } from "../parts/icon";
import { Problem } from "../parts/problem";
import { themes } from "../terminal/look";
import { timeOfDay, t } from "../text";
import { pieces, plainText } from "./ansi";

const keepLines = 5000;
const firstLines = 1000;

type End = { kind: "following" } | { kind: "over" } | { kind: "failed"; failure: Failure };

export function Logs({ api, id }: { api: string; id: string }) {
	const box = useRef<HTMLDivElement>(null);
	const sheet = useRef<LogSheet | null>(null);
	const [end, setEnd] = useState<End>({ kind: "following" });
	const [round, setRound] = useState(0);
	const [follow, setFollow] = useState(true);
	const [behind, setBehind] = useState(0);
	const [times, setTimes] = useState(false);
	const [only, setOnly] = useState(false);
	const [query, setQuery] = useState("");
	const [hits, setHits] = useState({ at: 0, of: 0 });
	const light = useCell(brightness);

	useEffect(() => {
		const stop = new AbortController();
		const mine = new LogSheet(box.current!, { follow: setFollow, behind: setBehind, hits: setHits });
		sheet.current = mine;
		setEnd({ kind: "following" });
		void (async () => {
			try {
				const { Config } = await inspectContainer(api, id);
				for await (const lines of logsOf(api, id, Config.Tty, firstLines, stop.signal)) mine.add(lines);
				setEnd({ kind: "over" });
			} catch (err) {
				if (!stop.signal.aborted) setEnd({ kind: "failed", failure: failureOf(err) });
			}
		})();
		return () => {
			stop.abort();
			mine.stop();
		};
	}, [api, id, round]);
	useEffect(() => sheet.current?.search(query), [query, round]);

	const colors = themes[light];
	const vars: Record<string, string> = {};
	for (const name of ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"] as const) {
		vars[`--ansi-${name}`] = colors[name]!;
		vars[`--ansi-bright-${name}`] = colors[`bright${name[0]!.toUpperCase()}${name.slice(1)}` as "brightRed"]!;
	}
	const keys = (e: KeyboardEvent) => {
		if (e.key !== "Enter") return;
		e.preventDefault();
		sheet.current?.step(e.shiftKey ? 1 : -1);
	};
	return (
		<>
			<div class="toolbar">
				<input class="input" type="search" placeholder={t("logs.search")} aria-label={t("logs.search")} data-test="logs-search" value={query} onInput={(e) => setQuery(e.currentTarget.value)} onKeyDown={keys} />
				{query && (
					<>
						<output>{hits.of ? t("find.at", hits) : t("find.none")}</output>
						<IconButton icon="up" label={t("find.older")} onClick={() => sheet.current?.step(-1)} />
						<IconButton icon="down" label={t("find.newer")} onClick={() => sheet.current?.step(1)} />
						<button type="button" class="button" aria-pressed={only} onClick={() => setOnly(!only)}>{t("logs.only")}</button>
					</>
				)}
				<span class="grow" />
				<button type="button" class="button" aria-pressed={times} data-test="logs-times" onClick={() => setTimes(!times)}>{t("logs.times")}</button>
				<button type="button" class="button" aria-pressed={follow} data-test="logs-follow" onClick={() => sheet.current?.setFollow(!follow)}>
					{follow ? t("logs.following") : behind ? t("logs.behind", { n: behind }) : t("logs.paused")}
				</button>
			</div>
			{end.kind === "failed" && (
				<div style="padding:12px">
					<Problem what={t("failed.logs")} failure={end.failure}>
						<button type="button" class="button" onClick={() => setRound(round + 1)}>{t("try.again")}</button>
					</Problem>
				</div>
			)}
			<div ref={box} class={`logs ${times ? "times" : ""} ${only && query ? "only" : ""}`} role="log" aria-live="off" aria-label={t("view.logs")} tabIndex={0} data-test="logs" style={vars} />
			{end.kind === "over" && (
				<div class="bar">
					<span class="grow">{t("logs.over")}</span>
					<button type="button" class="button" onClick={() => setRound(round + 1)}>{t("try.again")}</button>
				</div>
			)}
		</>
	);
}

interface Tell {
	follow: (on: boolean) => void;
	behind: (lines: number) => void;
	hits: (h: { at: number; of: number }) => void;
}

class LogSheet {
	private waiting: LogLine[] = [];
	private frame = 0;
	private following = true;
	private behind = 0;
	private query = "";
	private found: HTMLElement[] = [];
	private at = -1;
	private readonly gone = document.createElement("div");
	/** Browsers that cannot mark without changing the page mark the line only. */
	private readonly marks = "highlights" in CSS ? new Highlight() : null;
	private readonly scrolled = () => {
		const { scrollHeight, scrollTop, clientHeight } = this.box;
		const bottom = scrollHeight - scrollTop - clientHeight < 24;
		if (bottom !== this.following) this.setFollow(bottom);
	};

	constructor(
		private readonly box: HTMLElement,
		private readonly tell: Tell,
	) {
		this.gone.className = "log-gone";
		if (this.marks) CSS.highlights.set("found", this.marks);
		box.addEventListener("scroll", this.scrolled, { passive: true });
		tell.hits({ at: 0, of: 0 });
	}

	add(lines: LogLine[]): void {
		this.waiting.push(...lines);
		if (this.waiting.length > keepLines) this.waiting.splice(0, this.waiting.length - keepLines);
		this.frame ||= requestAnimationFrame(() => this.draw());
	}

	setFollow(on: boolean): void {
		this.following = on;
		this.tell.follow(on);
		if (!on) return;
		this.behind = 0;
		this.tell.behind(0);
		this.box.scrollTop = this.box.scrollHeight;
	}

	search(query: string): void {
		this.query = query.toLowerCase();
		this.found = [];
		this.marks?.clear();
		for (const line of this.box.querySelectorAll<HTMLElement>(".log")) {
			if (this.mark(line)) this.found.push(line);
		}
		this.go(this.found.length - 1);
	}

	/** Goes to another line that has what is searched for. */
	step(by: number): void {
		if (this.found.length > 0) this.go((this.at + by + this.found.length) % this.found.length);
	}

	stop(): void {
		cancelAnimationFrame(this.frame);
		this.box.removeEventListener("scroll", this.scrolled);
		this.box.replaceChildren();
	}

	private draw(): void {
		this.frame = 0;
		const added = document.createDocumentFragment();
		const count = this.waiting.length;
		for (const line of this.waiting) added.append(this.element(line));
		this.waiting = [];
		this.box.append(added);
		const extra = this.box.querySelectorAll(".log").length - keepLines;
		if (extra > 0) this.trim(extra);
		if (this.following) {
			this.box.scrollTop = this.box.scrollHeight;
		} else {
			this.behind += count;
			this.tell.behind(this.behind);
		}
		if (this.query) this.tell.hits({ at: this.at + 1, of: this.found.length });
	}

	private trim(extra: number): void {
		const before = this.box.scrollHeight;
		for (let line = this.box.querySelector(".log"); line && extra > 0; extra--) {
			const next = line.nextElementSibling;
			line.remove();
			line = next;
		}
		this.gone.textContent = t("logs.trimmed", { n: keepLines });
		this.box.prepend(this.gone);
		if (!this.following) this.box.scrollTop -= before - this.box.scrollHeight;
		const live = this.found.filter((line) => line.isConnected);
		this.at -= this.found.length - live.length;
		this.found = live;
	}

	private element(line: LogLine): HTMLElement {
		const out = document.createElement("div");
		out.className = line.stderr ? "log err" : "log";
		const time = document.createElement("time");
		time.dateTime = line.time;
		time.textContent = Number.isNaN(Date.parse(line.time)) ? line.time : timeOfDay(line.time);
		out.append(time);
		for (const { text, color, bold, dim } of pieces(line.text)) {
			if (!color && !bold && !dim) {
				out.append(text);
				continue;
			}
			const span = document.createElement("span");
			span.textContent = text;
			if (color) span.style.color = `var(--ansi-${color})`;
			if (bold) span.style.fontWeight = "600";
			if (dim) span.style.opacity = "0.8";
			out.append(span);
		}
		out.dataset["text"] = plainText(line.text).toLowerCase();
		if (this.query && this.mark(out)) this.found.push(out);
		return out;
	}

	private mark(line: HTMLElement): boolean {
		const hit = this.query !== "" && line.dataset["text"]!.includes(this.query);
		line.classList.toggle("hit", hit);
		line.classList.remove("at");
		if (hit && this.marks) this.markText(line, this.marks);
		return hit;
	}

	/** Marks the words themselves, where one piece of the line has them whole. */
	private markText(line: HTMLElement, marks: Highlight): void {
		const texts = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
		for (let node = texts.nextNode(); node; node = texts.nextNode()) {
			if (node.parentElement?.localName === "time") continue;
			const text = node.nodeValue!.toLowerCase();
			for (let at = text.indexOf(this.query); at >= 0; at = text.indexOf(this.query, at + this.query.length)) {
				if (at + this.query.length > node.nodeValue!.length) break; // lower case may be longer
				const range = new Range();
				range.setStart(node, at);
				range.setEnd(node, at + this.query.length);
				marks.add(range);
			}
		}
	}

	private go(at: number): void {
		this.found[this.at]?.classList.remove("at");
		this.at = at;
		const line = this.found[at];
		line?.classList.add("at");
		if (line) {
			if (this.following && at < this.found.length - 1) this.setFollow(false);
			line.scrollIntoView({ block: "center" });
		}
		this.tell.hits({ at: at + 1, of: this.found.length });
	}
}
