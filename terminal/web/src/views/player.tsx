// Plays a recording.

import { useEffect, useRef, useState } from "preact/hooks";
import { me, mayOnAny, recordings, refreshRecordings } from "../data/app";
import { useCell } from "../data/cell";
import { ask, failureOf, type Failure } from "../data/http";
import { castOf, deleteRecording } from "../data/server";
import { brightness, fontSize, screenReader } from "../data/settings";
import { allPanes, removePane } from "../data/tabs";
import { clickedLink } from "../data/lives";
import { titleOf } from "../data/actions";
import { Dialog } from "../parts/dialog";
import { IconButton } from "../parts/icon";
import { Problem } from "../parts/problem";
import { parseCast, type Cast } from "../playback/cast";
import { Playback } from "../playback/playback";
import { bytes, clock, moment, t } from "../text";

const speeds = [0.5, 1, 2, 4, 8];

export function Player({ recording, visible }: { recording: string; visible: boolean }) {
	const [cast, setCast] = useState<Cast | null>(null);
	const [failure, setFailure] = useState<Failure | null>(null);
	const [round, setRound] = useState(0);
	useEffect(() => {
		const stop = new AbortController();
		setFailure(null);
		(async () => parseCast(await (await ask(castOf(recording), { signal: stop.signal })).text()))().then(setCast, (err) => {
			if (!stop.signal.aborted) setFailure(failureOf(err));
		});
		return () => stop.abort();
	}, [recording, round]);
	if (failure) {
		return (
			<div class="centered">
				<Problem what={t("failed.recording")} failure={failure}>
					<button type="button" class="button" onClick={() => setRound(round + 1)}>{t("try.again")}</button>
				</Problem>
			</div>
		);
	}
	if (!cast) return <p class="waiting" role="status">{t("loading.recording")}</p>;
	return <Playing cast={cast} recording={recording} visible={visible} />;
}

function Playing({ cast, recording, visible }: { cast: Cast; recording: string; visible: boolean }) {
	const host = useRef<HTMLDivElement>(null);
	const [playback, setPlayback] = useState<Playback | null>(null);
	const [at, setAt] = useState(0);
	const [playing, setPlaying] = useState(false);
	const [speed, setSpeed] = useState(1);
	const [skip, setSkip] = useState(true);
	const light = useCell(brightness);
	const size = useCell(fontSize);
	useEffect(() => {
		const p = new Playback(cast, host.current!, {
			brightness: brightness.value,
			fontSize: fontSize.value,
			screenReader: screenReader.value,
			time: setAt,
			playing: setPlaying,
			openLink: (url) => clickedLink.set(url),
		});
		setPlayback(p);
		p.play();
		return () => p.dispose();
	}, [cast]);
	useEffect(() => playback?.look(light, size), [playback, light, size]);
	useEffect(() => {
		if (!visible) playback?.pause();
	}, [visible]);
	useEffect(() => playback?.pace(speed, skip), [playback, speed, skip]);
	const list = useCell(recordings);
	const info = list.state === "ready" ? list.value.find((r) => r.id === recording) : undefined;
	// The session may have gone on for a while after its last output, and lists say how long it was.
	const length = info && info.seconds > cast.seconds ? info.seconds : cast.seconds;
	const toggle = () => (playing ? playback?.pause() : playback?.play());
	const keys = (e: KeyboardEvent) => {
		if (e.target instanceof HTMLSelectElement || e.ctrlKey || e.metaKey || e.altKey) return;
		if (e.key === " " && !(e.target instanceof HTMLButtonElement)) toggle();
		else if (e.key === "ArrowLeft") playback?.seek(at - 5);
		else if (e.key === "ArrowRight") playback?.seek(at + 5);
		else return;
		e.preventDefault();
	};
	const remove = async () => {
		await deleteRecording(recording);
		for (const p of allPanes()) if (p.kind === "recording" && p.recording === recording) removePane(p.id);
		void refreshRecordings();
	};
	const [asked, setAsked] = useState(false);
	const [removal, setRemoval] = useState<Failure | null>(null);
	return (
		<div class="player" onKeyDown={keys} data-test="player" data-time={at.toFixed(2)} data-playing={playing}>
			<div class="toolbar">
				<span>{info ? `${info.user} · ${moment(info.started)}` : ""}</span>
				<span class="note">{info ? bytes(info.bytes) : ""}</span>
				{info?.input && <span class="note">{t("recording.input")}</span>}
				<span class="grow" />
				<a class="button" style="text-decoration:none" href={castOf(recording)} download={`${recording}.cast`}>{t("download")}</a>
				{info && (info.user === me().user || mayOnAny("terminal.admin")) && (
					<button type="button" class="button danger" onClick={() => setAsked(true)}>{t("delete")}</button>
				)}
			</div>
			{asked && (
				<Dialog
					title={t("recording.delete.sure")}
					close={() => setAsked(false)}
					submit={() => void remove().catch((err) => setRemoval(failureOf(err)))}
					foot={
						<>
							<span class="grow" />
							<button type="button" class="button" data-first onClick={() => setAsked(false)}>{t("cancel")}</button>
							<button type="submit" class="button danger">{t("delete")}</button>
						</>
					}
				>
					<p>{info ? `${titleOf(info)} · ${moment(info.started)}` : recording}</p>
					{removal && <Problem what={t("failed.delete")} failure={removal} />}
				</Dialog>
			)}
			<div class="player-screen" ref={host} tabIndex={0} role="group" aria-label={t("recording")} onClick={toggle} />
			<div class="player-controls">
				<IconButton icon={playing ? "pause" : "play"} label={t(playing ? "pause" : "play")} onClick={toggle} test="play" />
				<span class="time" data-test="time">{clock(at >= cast.seconds ? length : at)} / {clock(length)}</span>
				<input
					type="range"
					min={0}
					max={Math.max(0.1, cast.seconds)}
					step={0.1}
					value={at}
					aria-label={t("seek")}
					aria-valuetext={clock(at)}
					data-test="seek"
					onInput={(e) => playback?.seek(Number(e.currentTarget.value))}
				/>
				<select aria-label={t("speed")} value={String(speed)} data-test="speed" onChange={(e) => setSpeed(Number(e.currentTarget.value))}>
					{speeds.map((s) => (
						<option key={s} value={String(s)}>{s}×</option>
					))}
				</select>
				<label class="check">
					<input type="checkbox" checked={skip} data-test="skip" onChange={(e) => setSkip(e.currentTarget.checked)} />
					<span>{t("skip.idle")}</span>
				</label>
			</div>
		</div>
	);
}
