// A terminal in its pane, with what it has to say around it.

import { useEffect, useRef, useState } from "preact/hooks";
import { me } from "../data/app";
import { Cell, useCell } from "../data/cell";
import { liveOf, othersName, type Live, type LiveState } from "../data/lives";
import { Problem } from "../parts/problem";
import { t } from "../text";
import { Ended, Failed } from "./ended";
import { Find, findRequest } from "./find";
import { KeyBar } from "./keybar";
import { NoteBar } from "./note";
import { Pull } from "./pull";

interface Props {
	pane: string;
	visible: boolean;
	focused: boolean;
	/** Opens the same again. */
	again?: () => void;
	/** Ends or leaves it and closes the pane. */
	close: () => void;
}

const asking = new Cell<LiveState>({ step: "asking" });

export function TerminalView(props: Props) {
	const live = liveOf(props.pane);
	const state = useCell(live?.state ?? asking);
	if (!live || state.step === "asking") return <p class="waiting" role="status">{t("opening")}</p>;
	if (state.step === "refused") {
		return (
			<div class="centered">
				<Problem what={t("refused.open")} failure={state.failure}>
					{props.again && <button type="button" class="button" onClick={props.again}>{t("try.again")}</button>}
					<button type="button" class="button" onClick={props.close}>{t("close")}</button>
				</Problem>
			</div>
		);
	}
	return <Open {...props} live={live} />;
}

function Open({ pane, visible, focused, again, close, live }: Props & { live: Live }) {
	const host = useRef<HTMLDivElement>(null);
	const state = useCell(live.state);
	const find = useCell(findRequest);
	const [finding, setFinding] = useState(false);
	const terminal = live.terminal!;

	useEffect(() => terminal.mount(host.current!), [terminal]);
	useEffect(() => {
		void terminal.show(visible);
		if (visible && focused) terminal.focus();
	}, [terminal, visible, focused]);
	useEffect(() => {
		if (find.pane === pane) setFinding(true);
	}, [find]);

	if (state.step !== "open") return null;
	const { status } = state;
	const now = () => {
		terminal.reconnectNow();
		terminal.focus(); // the button goes away with the keyboard
	};
	const dismiss = () => {
		terminal.dismissNote();
		terminal.focus();
	};
	const owner = othersName(status) || me().user;
	const opening = status.phase === "opening" && !status.pulling;
	return (
		<div class={"term " + (status.phase === "reconnecting" ? "away" : "")} data-test="terminal-pane" data-phase={status.phase} data-session={live.session}>
			{live.role !== "owner" && status.welcome && (
				<div class="term-watch" role="status" data-test="watching">
					{t(live.role === "viewer" ? "watching" : "writing", { user: owner })}
				</div>
			)}
			<div class="term-host" ref={host}>
				{status.phase === "reconnecting" && <Reconnecting attempt={status.attempt} at={status.retryAt} now={now} />}
				{opening && <Connecting attempt={status.attempt} at={status.retryAt} now={now} />}
				{status.pulling && <Pull status={status} />}
				{finding && (
					<Find
						terminal={terminal}
						request={find.n}
						close={() => {
							setFinding(false);
							terminal.endFind();
						}}
					/>
				)}
			</div>
			{status.note && <NoteBar note={status.note} dismiss={dismiss} />}
			{status.phase === "ended" && <Ended status={status} again={again} close={close} />}
			{status.phase === "failed" && <Failed status={status} again={again} close={close} />}
			{status.phase !== "ended" && status.phase !== "failed" && live.role !== "viewer" && <KeyBar terminal={terminal} />}
		</div>
	);
}

interface Retry {
	attempt: number;
	at: number;
	now: () => void;
}

/** Seconds until a time, counted down. */
function useCountdown(at: number): number {
	const [, tick] = useState(0);
	useEffect(() => {
		if (!at) return;
		const timer = setInterval(() => tick((n) => n + 1), 250);
		return () => clearInterval(timer);
	}, [at]);
	return at ? Math.max(0, Math.ceil((at - Date.now()) / 1000)) : 0;
}

function retryText({ attempt, at }: Retry, seconds: number): string {
	if (!at) return t("reconnecting.now", { n: attempt });
	return attempt ? t("reconnecting.in", { n: attempt, s: seconds }) : t("reconnecting.soon", { s: seconds });
}

/** The screen stays as it was; only this bar says that the network is away. */
function Reconnecting(p: Retry) {
	const seconds = useCountdown(p.at);
	return (
		<div class="bar top" role="status" data-test="reconnecting">
			<span class="grow">{retryText(p, seconds)}</span>
			<button type="button" class="button" onClick={p.now}>{t("now")}</button>
		</div>
	);
}

function Connecting(p: Retry) {
	const seconds = useCountdown(p.at);
	if (p.attempt < 2 && !p.at) return <p class="waiting" role="status">{t("connecting")}</p>;
	return (
		<div class="bar top" role="status" data-test="connecting">
			<span class="grow">
				{retryText(p, seconds)} {p.attempt > 3 && t("reconnecting.proxy")}
			</span>
			<button type="button" class="button" onClick={p.now}>{t("now")}</button>
		</div>
	);
}
