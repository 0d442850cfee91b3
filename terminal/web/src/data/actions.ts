// What buttons, keys and links do.

import { Cell } from "./cell";
import { may, me } from "./app";
import type { Container } from "./engine";
import { nameOf } from "./engine";
import { begin, forget, liveOf, resume, runs } from "./lives";
import { endSession, getSession, type Recording, type Session, type Spec } from "./server";
import { activate, allPanes, changePane, focusedPane, newId, openTab, panesOf, removePane, reveal, splitPane, tabs, type Pane } from "./tabs";
import { joinWords } from "../parts/command";
import type { Role } from "../terminal/frames";

/** The dialog that is open, if any. */
export type Open =
	| { dialog: "new"; beside?: string; image?: string; container?: string }
	| { dialog: "close"; pane: string }
	| { dialog: "keys" }
	| { dialog: "share"; session: string };

export const open = new Cell<Open | null>(null);

/** The drawer of phones. */
export const drawer = new Cell(false);

const put = (pane: Pane, beside?: string) => {
	if (beside) splitPane(beside, "right", { pane });
	else openTab(pane);
	drawer.set(false);
};

/** Shows a container in a pane of its own. */
export function showContainer(c: Container, engine: string): void {
	drawer.set(false);
	if (reveal((p) => p.kind === "container" && p.container === c.Id && p.engine === engine)) return focusSoon();
	openTab({ kind: "container", id: newId(), engine, container: c.Id, name: nameOf(c), view: "terminal" });
}

export const titleOf = (session: { mode: string; container_name?: string; container: string; image: string; cmd?: string[] | null }) => {
	const name = session.mode === "run" ? session.image : session.container_name || session.container.slice(0, 12);
	const command = joinWords(session.cmd);
	return command ? `${name} · ${command}` : name;
};

/** Opens a terminal in a new pane. */
export function openTerminal(spec: Spec, title: string, beside?: string): void {
	const id = newId();
	put({ kind: "terminal", id, engine: spec.engine ?? "", title, role: "owner", spec }, beside);
	void begin(id, spec);
}

/** What opens another session like this one. */
function specOf({ mode, engine, container, image, cmd }: Session): Spec {
	return {
		mode,
		...(engine ? { engine } : {}),
		...(mode === "run" ? { image } : { container }),
		...(cmd?.length && mode !== "attach" ? { cmd } : {}),
	};
}

/** Comes back to a session, or watches another's. */
export function joinSession(session: Session, role: Role): void {
	drawer.set(false);
	if (reveal((p) => (p.kind === "terminal" || p.kind === "container") && p.session === session.id)) return focusSoon();
	const id = newId();
	openTab({ kind: "terminal", id, engine: session.engine, title: titleOf(session), role, session: session.id, spec: specOf(session) });
	void resume(id, session.id, role);
}

/** Follows a link to a session that somebody shared. */
export async function joinById(id: string): Promise<void> {
	const session = await getSession(id);
	joinSession(session, session.user === me().user ? "viewer" : session.role || "viewer");
}

export function showRecording(r: Recording): void {
	drawer.set(false);
	if (reveal((p) => p.kind === "recording" && p.recording === r.id)) return focusSoon();
	openTab({ kind: "recording", id: newId(), recording: r.id, title: titleOf(r) });
}

export function showAdmin(): void {
	drawer.set(false);
	if (!reveal((p) => p.kind === "admin")) openTab({ kind: "admin", id: newId(), view: "sessions" });
}

/** Makes the terminals of tabs that the browser remembered. */
export function revive(): void {
	for (const pane of allPanes()) {
		if (liveOf(pane.id)) continue;
		if (pane.kind === "terminal" && pane.session) void resume(pane.id, pane.session, pane.role);
		if (pane.kind === "container" && pane.session) void resume(pane.id, pane.session, "owner");
	}
}

/** Puts another terminal of the same kind beside a pane. */
export function split(pane: Pane): void {
	if (pane.kind === "container") {
		openTerminal({ mode: "exec", engine: pane.engine, container: pane.container }, pane.name, pane.id);
	} else if (pane.kind === "terminal" && pane.spec) {
		openTerminal(pane.spec, pane.title, pane.id);
	} else {
		open.set({ dialog: "new", beside: pane.id });
	}
}

/** Opens the same again in a pane. */
export function again(pane: Pane): (() => void) | undefined {
	if (pane.kind !== "terminal" || pane.role !== "owner") return undefined;
	if (pane.spec) return () => void begin(pane.id, pane.spec!);
	return undefined;
}

/** Closes a pane; asks first while something runs in it. */
export function closePane(id: string): void {
	if (runs(id)) open.set({ dialog: "close", pane: id });
	else removeAndFree(id);
}

export function closeTab(id: string): void {
	const tab = tabs.value.list.find((t) => t.id === id);
	if (!tab) return;
	const panes = panesOf(tab.root);
	const running = panes.find((p) => runs(p.id));
	if (running) {
		activate(id, running.id);
		open.set({ dialog: "close", pane: running.id });
	} else {
		for (const p of panes) removeAndFree(p.id);
	}
}

/** Takes a pane away, and ends its session or leaves it to be resumed. */
export async function finish(id: string, end: boolean): Promise<void> {
	const session = liveOf(id)?.session;
	const pane = allPanes().find((p) => p.id === id);
	if (pane?.kind === "container" && closing.has(id)) {
		forget(id);
		changePane(id, { session: undefined } as Partial<Pane>);
	} else {
		removeAndFree(id);
	}
	closing.delete(id);
	if (end && session) await endSession(session);
}

/** Containers whose terminal is closed, while their pane stays. */
export const closing = new Set<string>();

function removeAndFree(id: string): void {
	forget(id);
	removePane(id);
}

export const focusTab = (n: number) => {
	const tab = tabs.value.list[n - 1];
	if (tab) activate(tab.id);
};

/** Moves the keyboard to the pane that is shown: to its terminal, or to what stands there for one. */
export function focusHere(): void {
	const pane = focusedPane();
	const terminal = pane && liveOf(pane.id)?.terminal;
	if (terminal) terminal.focus();
	else document.querySelector<HTMLElement>(".tabpanel:not([hidden]) .pane.focused :is(.prompt, .player-screen)")?.focus();
}

/** The same, once what was revealed is drawn. */
const focusSoon = () => void requestAnimationFrame(focusHere);

export const canOpen = (engine?: string) => may("terminal.open", engine);
