// moorgate's own API: who is here, sessions, recordings, administration.

import { ask, askJSON } from "./http";
import type { Exit, Role } from "../terminal/frames";

export interface Me {
	user: string;
	groups: string[];
	roles: string[];
	/** The first is the default. */
	engines: string[];
	/** What the user may do, by engine. */
	actions: Record<string, string[]>;
	/** What the user is known by; "session" can be signed out. */
	evidence?: string;
}

/** Whether the user may do an action on an engine. */
export const mayDo = (me: Me, action: string, engine: string) => me.actions[engine || me.engines[0]!]?.includes(action) ?? false;

/** Whether the user may do an action on any engine. */
export const mayAnywhere = (me: Me, action: string) => Object.values(me.actions).some((list) => list.includes(action));

export interface Credentials {
	user?: string;
	password?: string;
	token?: string;
	code?: string;
}

export const fetchMe = () => askJSON<Me>("api/me", { login: true });
export const logIn = (body: Credentials) => askJSON<Me>("login", { method: "POST", body, login: true });
export const logOut = () => ask("logout", { method: "POST" });

export interface Spec {
	mode: "exec" | "attach" | "run";
	engine?: string;
	container?: string;
	image?: string;
	cmd?: string[];
	user?: string;
	workdir?: string;
	env?: string[];
	tty?: boolean;
	cols?: number;
	rows?: number;
	record?: boolean;
	rm?: boolean;
	volume?: string;
}

export interface Opened {
	id: string;
	ticket: string;
	expires_in: number;
}

export interface Session {
	id: string;
	user: string;
	mode: Spec["mode"];
	engine: string;
	container: string;
	container_name: string;
	image: string;
	cmd: string[] | null;
	tty: boolean;
	state: "starting" | "running" | "ending" | "ended";
	started: string;
	ended?: string;
	/** In seconds. */
	idle: number;
	owners: number;
	viewers: { attachment: string; user: string; role: Role; since: string }[] | null;
	/** Of output. */
	bytes: number;
	recording?: string;
	exit?: Exit;
	/** What the caller is in it; "" for an administrator who was not invited. */
	role: Role | "";
}

export interface Recording {
	id: string;
	session: string;
	user: string;
	mode: string;
	engine?: string;
	container: string;
	container_name?: string;
	image: string;
	cmd?: string[] | null;
	started: string;
	ended?: string;
	seconds: number;
	bytes: number;
	input: boolean;
	cols: number;
	rows: number;
	exit_code?: number;
}

const sessions = "api/terminal/sessions";
const one = (id: string) => `${sessions}/${encodeURIComponent(id)}`;

export const openSession = (spec: Spec) => askJSON<Opened>(sessions, { method: "POST", body: spec });
export const listSessions = async () => listed<Session>(await askJSON(sessions), "sessions");
export const getSession = (id: string) => askJSON<Session>(one(id));
export const getTicket = (id: string, role: Role) => askJSON<{ ticket: string }>(`${one(id)}/tickets`, { method: "POST", body: { role } });
/** Lets another user in; they find the session in their list, or by its link. */
export const invite = (id: string, user: string, role: Role) => ask(`${one(id)}/tickets`, { method: "POST", body: { role, user } });
export const endSession = (id: string, message?: string) => ask(one(id), { method: "DELETE", ...(message ? { body: { reason: message } } : {}) });
export const sendMessage = (id: string, text: string) => ask(`${one(id)}/message`, { method: "POST", body: { text } });

const recordings = "api/terminal/recordings";
export const castOf = (id: string) => `${recordings}/${encodeURIComponent(id)}.cast`;
export const listRecordings = async () => listed<Recording>(await askJSON(recordings), "recordings");
export const deleteRecording = (id: string) => ask(`${recordings}/${encodeURIComponent(id)}`, { method: "DELETE" });

export interface Denied {
	time: string;
	id: string;
	user: string;
	engine: string;
	action: string;
	method: string;
	path: string;
	refs: string[];
	decision: "deny" | "would_deny";
	rule: string;
	reason: string;
}

export const listDenied = async () => listed<Denied>(await askJSON("api/admin/denied"), "denied");

/** A list, alone or in an object. */
function listed<T>(answer: unknown, key: string): T[] {
	const list = Array.isArray(answer) ? answer : (answer as Record<string, unknown>)[key];
	return Array.isArray(list) ? (list as T[]) : [];
}
