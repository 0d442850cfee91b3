// What the page knows, and how it gets to know it.

import { Cell, type Loaded } from "./cell";
import { apiOf, containerEvents, listContainers, type Container } from "./engine";
import { failureOf, onLoggedOut, type Failure } from "./http";
import { fetchMe, listRecordings, listSessions, mayAnywhere, mayDo, type Me, type Recording, type Session } from "./server";

/** Who is here: not known yet, nobody, or somebody. */
export type Door = { state: "asking" } | { state: "closed"; failure: Failure } | { state: "open"; me: Me };

export const door = new Cell<Door>({ state: "asking" });
export const engine = new Cell("");
export const containers = new Cell<Loaded<Container[], Failure>>({ state: "loading" });
export const sessions = new Cell<Loaded<Session[], Failure>>({ state: "loading" });
export const recordings = new Cell<Loaded<Recording[], Failure>>({ state: "loading" });

const pollEvery = 5000;

/** The one who is here; the page shows nothing that asks for it otherwise. */
export function me(): Me {
	if (door.value.state !== "open") throw new Error("nobody is logged in");
	return door.value.me;
}

export const api = (name = engine.value) => apiOf(name, me().engines);
export const may = (action: string, on = engine.value) => mayDo(me(), action, on);
export const mayOnAny = (action: string) => mayAnywhere(me(), action);

/** Asks who is here; with somebody, everything else follows. */
export async function enter(): Promise<void> {
	onLoggedOut((failure) => leave(failure));
	try {
		enterAs(await fetchMe());
	} catch (err) {
		leave(failureOf(err));
	}
}

export function enterAs(who: Me): void {
	if (!who.engines.includes(engine.value)) engine.set(who.engines[0] ?? "");
	door.set({ state: "open", me: who });
	void follow();
}

export function leave(failure: Failure): void {
	following?.abort();
	following = null;
	door.set({ state: "closed", failure });
}

export function switchEngine(name: string): void {
	engine.set(name);
	containers.set({ state: "loading" });
	void follow();
}

let following: AbortController | null = null;

/** Keeps the lists up to date until somebody else, or another engine, is here. */
async function follow(): Promise<void> {
	following?.abort();
	const mine = (following = new AbortController());
	const { signal } = mine;
	const refresh = () => {
		if (signal.aborted || document.visibilityState === "hidden") return;
		void refreshSessions();
		if (!refused(containers.value)) void refreshContainers();
	};
	const poll = setInterval(refresh, pollEvery);
	document.addEventListener("visibilitychange", refresh, { signal });
	signal.addEventListener("abort", () => clearInterval(poll));
	refresh();
	void refreshRecordings();
	let soon = 0;
	while (!signal.aborted && mayDo(me(), "system.events", engine.value)) {
		try {
			for await (const _ of containerEvents(api(), signal)) {
				clearTimeout(soon);
				soon = window.setTimeout(() => void refreshContainers(), 150);
			}
		} catch {
			// The poll goes on, and shows what is wrong.
		}
		await new Promise((next) => setTimeout(next, pollEvery));
	}
}

async function load<T>(cell: Cell<Loaded<T, Failure>>, get: () => Promise<T>): Promise<void> {
	const asked = engine.value;
	try {
		const value = await get();
		if (engine.value === asked && !same(cell.value, value)) cell.set({ state: "ready", value });
	} catch (err) {
		const failure = failureOf(err);
		if (engine.value === asked && failure.status !== 401) cell.set(afterFailure(cell.value, failure));
	}
}

/** What is there stays while asking again fails, unless the right to see it is gone. */
export function afterFailure<T>(now: Loaded<T, Failure>, failure: Failure): Loaded<T, Failure> {
	if (now.state !== "ready" || failure.status === 403) return { state: "failed", failure };
	const { stale } = now; // told once, though each attempt has an id of its own
	return stale && stale.status === failure.status && stale.message === failure.message ? now : { ...now, stale: failure };
}

/** Lists that did not change are not drawn again. */
function same<T>(now: Loaded<T, Failure>, then: T): boolean {
	return now.state === "ready" && !now.stale && JSON.stringify(now.value) === JSON.stringify(then);
}

// What the role may not see is not asked for: each time would stand among the denied requests.
export const maySessions = () => mayOnAny("terminal.open") || mayOnAny("terminal.admin");
export const mayRecordings = () => mayOnAny("terminal.record") || mayOnAny("terminal.admin");
const refused = <T>(now: Loaded<T, Failure>) => now.state === "failed" && now.failure.status === 403;

export const refreshContainers = () => load(containers, () => listContainers(api()));
export const refreshSessions = async () => maySessions() && load(sessions, listSessions);
export const refreshRecordings = async () => mayRecordings() && load(recordings, listRecordings);

/** The container of an id or a name, if it is listed. */
export function findContainer(list: Loaded<Container[], Failure>, id: string): Container | undefined {
	return list.state === "ready" ? list.value.find((c) => c.Id === id || c.Names.includes("/" + id)) : undefined;
}
