// Why a terminal is over, and what can be done.

import { mayOnAny, recordings } from "../data/app";
import { useCell } from "../data/cell";
import { reveal, openTab, newId } from "../data/tabs";
import { Why } from "../parts/problem";
import { StateSign } from "../parts/state";
import type { Exit } from "../terminal/frames";
import type { Status } from "../terminal/status";
import { t, type Key } from "../text";

interface Props {
	status: Status;
	again?: (() => void) | undefined;
	close: () => void;
}

/** What happened, in words. */
export function exitText(exit: Exit): string {
	const by = exit.by ?? "";
	switch (exit.reason) {
		case "exited":
			if (exit.signal) return t("exit.signal", { signal: exit.signal });
			return exit.code === null ? t("exit.unknown") : t("exit.code", { code: exit.code });
		case "killed":
			return by ? t("exit.killed.by", { by }) : t("exit.killed");
		case "admin":
			return t("exit.admin", { by: by || t("administrator") });
		case "container_stopped":
			return t("exit.container");
		case "idle":
			return t("exit.idle");
		case "max":
			return t("exit.max");
		case "revoked":
			return t("exit.revoked");
		default:
			return exit.reason;
	}
}

export function Ended({ status, again, close }: Props) {
	const exit = status.exit!;
	const bad = exit.reason !== "exited" || (exit.code ?? 0) !== 0;
	return (
		<div class="bar" role="status" data-test="ended">
			<StateSign state={bad ? "failed" : "ended"} label={t(bad ? "state.failed" : "state.ended")} />
			<span class="grow">
				<span data-test="ended-text">{exitText(exit)}</span>
				{exit.message && <span>: {exit.message}</span>}
				{(exit.code === 126 || exit.code === 127) && exit.reason === "exited" && <small> {t("exit.hint.command")}</small>}
				{exit.survived && <small> {t("exit.survived", { what: exit.survived.join("; ") })}</small>}
			</span>
			<Actions again={again} close={close} status={status} />
		</div>
	);
}

const closeTexts: Record<number, Key> = {
	1009: "closed.1009",
	4000: "closed.4000",
	4001: "closed.4001",
	4003: "closed.4003",
	4004: "closed.4004",
	4008: "exit.idle",
	4009: "exit.max",
	4010: "exit.killed",
	4013: "closed.4013",
};

export function Failed({ status, again, close }: Props) {
	const { fault, closed } = status;
	const refusal = closed?.refusal;
	const key = closed ? closeTexts[closed.code] : undefined;
	const said = fault?.message ?? (refusal ? "" : closed?.reason) ?? "";
	return (
		<div class="bar failed" role="alert" data-test="failed">
			<StateSign state="failed" />
			<span class="grow">
				<span data-test="failed-text">
					{refusal ? (
						refusal.status === 404 ? t("closed.4004") : <Why failure={{ ...refusal, status: refusal.status ?? 0 }} />
					) : key ? (
						t(key)
					) : (
						!said && t("closed.other", { code: closed?.code ?? 0 })
					)}
				</span>
				{said && <span> {said}</span>}
				{fault?.hint && <small> {fault.hint}</small>}
			</span>
			<Actions again={again} close={close} status={status} />
		</div>
	);
}

function Actions({ again, close, status }: Props) {
	const session = status.welcome?.session;
	const list = useCell(recordings); // it is asked for anew when a terminal ends
	const recording = list.state === "ready" ? list.value.find((r) => r.session === session) : undefined;
	const show = () => {
		if (!recording || reveal((p) => p.kind === "recording" && p.recording === recording.id)) return;
		openTab({ kind: "recording", id: newId(), recording: recording.id, title: recording.container_name ?? recording.image });
	};
	return (
		<span class="actions">
			{recording && <button type="button" class="button" onClick={show}>{t("recording")}</button>}
			{again && mayOnAny("terminal.open") && (
				<button type="button" class="button" data-test="again" onClick={again}>{t("again")}</button>
			)}
			<button type="button" class="button" onClick={close}>{t("close")}</button>
		</span>
	);
}
