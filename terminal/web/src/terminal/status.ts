// What a terminal tells its surroundings.

import type { Exit, Fault, Notice, Role, Welcome } from "./frames";
import type { Refusal } from "./link";

export type Phase = "opening" | "live" | "reconnecting" | "ended" | "failed";

/** One layer of an image that is being pulled. */
export interface Layer {
	id: string;
	status: string;
	/** In bytes; total is 0 where it is not known. */
	current: number;
	total: number;
	done: boolean;
}

export interface Viewer {
	attachment: string;
	user: string;
	role: Role;
}

export interface Note {
	kind: "message" | "idle" | "max" | "slow" | "fault" | "clipboard";
	text: string;
	from?: string;
	hint?: string;
	/** When it no longer holds, in milliseconds of Date.now(). */
	until?: number;
}

export interface Status {
	phase: Phase;
	/** The title that the program gave, without anything that could pass for something else. */
	title: string;
	role: Role;
	welcome: Welcome | null;
	/** Attempts to come back, and when the next one is. */
	attempt: number;
	retryAt: number;
	exit: Exit | null;
	fault: Fault | null;
	/** Why the socket was closed for good. */
	closed: { code: number; reason: string; refusal?: Refusal } | null;
	/** A pull in progress, layer by layer, and its last plain line. */
	layers: Layer[];
	pullLine: string;
	pulling: boolean;
	viewers: Viewer[];
	recording: boolean;
	note: Note | null;
}

export function initialStatus(role: Role): Status {
	return {
		phase: "opening",
		title: "",
		role,
		welcome: null,
		attempt: 0,
		retryAt: 0,
		exit: null,
		fault: null,
		closed: null,
		layers: [],
		pullLine: "",
		pulling: false,
		viewers: [],
		recording: false,
		note: null,
	};
}

/** Takes a title as text: no controls, no change of direction, no novel. */
export function cleanTitle(title: string): string {
	return title.replace(/[\p{Cc}\p{Cf}]/gu, "").trim().slice(0, 120);
}

/** What a notice changes. */
export function noticed(status: Status, notice: Notice): Partial<Status> {
	switch (notice.kind) {
		case "pull":
			return pulled(status, notice);
		case "viewer_joined": {
			const { attachment = "", user = "", role = "viewer" } = notice;
			return { viewers: [...status.viewers.filter((v) => v.attachment !== attachment), { attachment, user, role }] };
		}
		case "viewer_left":
			return { viewers: status.viewers.filter((v) => v.attachment !== notice.attachment) };
		case "message":
			return { note: { kind: "message", text: notice.text ?? "", from: notice.user ?? "" } };
		case "idle_warning": {
			const kind = notice.limit === "max" ? "max" : "idle";
			return { note: { kind, text: notice.text ?? "", until: Date.now() + (notice.seconds ?? 60) * 1000 } };
		}
		case "recording":
			return { recording: notice.on !== false };
		case "slow":
			return { note: { kind: "slow", text: notice.text ?? "", until: Date.now() + 5000 } };
		default:
			return {};
	}
}

/** The Engine's last word of a pull. */
const lastLine = /^Status: /;

const done = /^(Pull complete|Already exists|Download complete)/;

function pulled(status: Status, { id = "", status: line = "", current, total, text }: Notice): Partial<Status> {
	if (!/^[0-9a-f]{12}$/.test(id)) {
		return { pulling: !lastLine.test(line), pullLine: line || text || status.pullLine };
	}
	const before = status.layers.find((l) => l.id === id);
	const whole = total ?? before?.total ?? 0;
	const layer = { id, status: line, current: done.test(line) ? whole : (current ?? 0), total: whole, done: done.test(line) };
	const layers = before ? status.layers.map((l) => (l === before ? layer : l)) : [...status.layers, layer];
	return { pulling: true, layers };
}
