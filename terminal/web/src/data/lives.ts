// The terminals of the page, each by the pane that shows it. They live outside
// the components, so that moving a pane does not disturb them.

import { door, me, refreshRecordings, refreshSessions } from "./app";
import { Cell } from "./cell";
import { failureOf, type Failure } from "./http";
import { getTicket, openSession, type Spec } from "./server";
import { brightness, fontSize, keepHere, keptHere, screenReader, setFont } from "./settings";
import { isPageKey } from "./keys";
import { allPanes, changePane, tabs } from "./tabs";
import type { Role } from "../terminal/frames";
import type { Status } from "../terminal/status";
import type { Terminal } from "../terminal/terminal";

export type LiveState =
	| { step: "asking" }
	| { step: "refused"; failure: Failure }
	| { step: "open"; status: Status };

export interface Live {
	readonly state: Cell<LiveState>;
	/** The terminal, once there is a session. */
	readonly terminal: Terminal | null;
	readonly session: string;
	readonly role: Role;
}

interface Known extends Live {
	state: Cell<LiveState>;
	terminal: Terminal | null;
	session: string;
}

const known = new Map<string, Known>();

/** Tells of every change of any terminal: lists and tabs show its state. */
export const anyLive = new Cell(0);

/** A link that a program printed and the user clicked; it waits for a yes. */
export const clickedLink = new Cell("");

export const liveOf = (pane: string): Live | undefined => known.get(pane);

/** Whether something runs behind a pane that closing it would cut off. */
export function runs(pane: string): boolean {
	const state = known.get(pane)?.state.value;
	return state?.step === "open" && state.status.role === "owner" && ["live", "reconnecting"].includes(state.status.phase);
}

/** Opens a new session for a pane; why it is refused is in the pane's state. */
export async function begin(pane: string, spec: Spec): Promise<void> {
	forget(pane);
	const live = add(pane, "", "owner");
	try {
		const opened = await openSession({ ...spec, ...estimateSize() });
		if (known.get(pane) !== live) return;
		live.session = opened.id;
		changePane(pane, { session: opened.id });
		await attach(pane, live, opened.ticket);
		void refreshSessions();
	} catch (err) {
		live.state.set({ step: "refused", failure: failureOf(err) });
	}
}

/** Attaches a pane to a session that is there. */
export async function resume(pane: string, session: string, role: Role): Promise<void> {
	forget(pane);
	const live = add(pane, session, role);
	try {
		await attach(pane, live, undefined);
	} catch (err) {
		live.state.set({ step: "refused", failure: failureOf(err) });
	}
}

export function forget(pane: string): void {
	known.get(pane)?.terminal?.dispose();
	known.delete(pane);
}

function add(pane: string, session: string, role: Role): Known {
	const live: Known = { state: new Cell<LiveState>({ step: "asking" }), terminal: null, session, role };
	live.state.follow(() => anyLive.update((n) => n + 1));
	known.set(pane, live);
	return live;
}

async function attach(pane: string, live: Known, ticket: string | undefined): Promise<void> {
	const [{ Terminal }, { RefusedError }] = await Promise.all([import("../terminal/terminal"), import("../terminal/link")]);
	if (known.get(pane) !== live) return;
	const { session, role } = live;
	live.terminal = new Terminal({
		page: location.href,
		session,
		role,
		...(ticket === undefined ? {} : { ticket }),
		requestTicket: () =>
			getTicket(session, role).then(
				(answer) => answer.ticket,
				(err) => Promise.reject(new RefusedError(failureOf(err))),
			),
		brightness: brightness.value,
		fontSize: fontSize.value,
		screenReader: screenReader.value,
		change: (status) => {
			const before = live.state.value;
			live.state.set({ step: "open", status });
			if (before.step !== "open" || before.status.phase === status.phase) return;
			void refreshSessions();
			if (status.phase === "ended") void refreshRecordings();
		},
		isPageKey,
		openLink: (url) => clickedLink.set(url),
		pinch: setFont,
	});
	live.state.set({ step: "open", status: live.terminal.status });
}

function look(): void {
	for (const { terminal } of known.values()) terminal?.look(brightness.value, fontSize.value, screenReader.value);
}
brightness.follow(look);
fontSize.follow(look);
screenReader.follow(look);

tabs.follow(() => {
	const shown = new Set(allPanes().map((p) => p.id));
	for (const pane of [...known.keys()]) if (!shown.has(pane)) forget(pane);
});

// Nobody's terminals stay open behind the login, for whoever logs in next; who comes back resumes them.
door.follow(() => {
	const now = door.value;
	if (now.state === "closed") for (const pane of [...known.keys()]) forget(pane);
	if (now.state !== "open") return;
	if (keptHere("user") !== now.me.user) tabs.set({ list: [], active: "" });
	keepHere("user", now.me.user);
});

/** The size that a terminal will have, before there is one. */
function estimateSize(): { cols: number; rows: number } {
	const area = document.querySelector(".area")?.getBoundingClientRect();
	const pen = document.createElement("canvas").getContext("2d");
	if (!area || !pen) return { cols: 80, rows: 24 };
	pen.font = `${fontSize.value}px ui-monospace, monospace`;
	const width = pen.measureText("m").width || fontSize.value * 0.6;
	return {
		cols: Math.max(2, Math.floor((area.width - 20) / width)),
		rows: Math.max(1, Math.floor(area.height / (fontSize.value * 1.2))),
	};
}

/** Whose session it is, where it is not the user's own. */
export const othersName = (status: Status) => (status.welcome && status.welcome.user !== me().user ? status.welcome.user : "");
