// The frames of moorgate.terminal.v1: binary, the first byte is the type.

export const protocol = "moorgate.terminal.v1";

/** The most bytes of input in one frame. */
export const maxStdin = 64 * 1024;

/** Columns and rows are between 1 and this. */
export const maxSize = 1000;

const type = {
	stdin: 0x00,
	stdout: 0x01,
	stderr: 0x02,
	resize: 0x03,
	eof: 0x04,
	signal: 0x05,
	ack: 0x10,
	hello: 0x11,
	welcome: 0x12,
	replay: 0x13,
	exit: 0x14,
	error: 0x15,
	notice: 0x16,
	heartbeat: 0x1f,
} as const;

export type Role = "owner" | "writer" | "viewer";

export interface Welcome {
	session: string;
	attachment: string;
	role: Role;
	user: string;
	container: string;
	cmd: string[] | null;
	tty: boolean;
	window: number;
	ack_every: number;
	/** The oldest offset that the server can still replay. */
	start: number;
	/** Where the output goes on from. */
	offset: number;
	/** When the session began; offsets count from there. */
	epoch: number;
	recording: boolean;
	limits?: { grace: number; idle: number; max: number; stdin: number };
}

export interface Replay {
	state: "begin" | "end";
	from: number;
	truncated: boolean;
}

export interface Exit {
	code: number | null;
	signal?: string;
	reason: "exited" | "killed" | "container_stopped" | "idle" | "max" | "admin" | "revoked" | string;
	by?: string;
	message?: string;
	/** What goes on nevertheless, in words. */
	survived?: string[];
}

export interface Fault {
	code: string;
	message: string;
	hint?: string;
	fatal: boolean;
}

export interface Notice {
	kind: "pull" | "idle_warning" | "viewer_joined" | "viewer_left" | "message" | "recording" | "slow" | string;
	text?: string;
	/** Of pull: a layer, and its bytes. */
	id?: string;
	status?: string;
	current?: number;
	total?: number;
	/** Of idle_warning: seconds to the end, and which limit it is. */
	seconds?: number;
	limit?: "idle" | "max";
	/** Of viewer_joined, viewer_left and message. */
	attachment?: string;
	user?: string;
	role?: Role;
	viewers?: number;
	/** Of recording. */
	on?: boolean;
}

export type Frame =
	| { type: "output"; stream: "stdout" | "stderr"; offset: number; data: Uint8Array }
	| { type: "resize"; cols: number; rows: number }
	| { type: "welcome"; welcome: Welcome }
	| { type: "replay"; replay: Replay }
	| { type: "exit"; exit: Exit }
	| { type: "error"; fault: Fault }
	| { type: "notice"; notice: Notice }
	| { type: "heartbeat"; time: number };

/** Reads a frame of the server's; null for types that this client does not know. */
export function decode(message: ArrayBuffer): Frame | null {
	const bytes = new Uint8Array(message);
	const view = new DataView(message);
	switch (bytes[0]) {
		case type.stdout:
		case type.stderr:
			return {
				type: "output",
				stream: bytes[0] === type.stdout ? "stdout" : "stderr",
				offset: Number(view.getBigUint64(1)),
				data: bytes.subarray(9),
			};
		case type.resize:
			return { type: "resize", cols: clamp(view.getUint16(1)), rows: clamp(view.getUint16(3)) };
		case type.welcome:
			return { type: "welcome", welcome: json<Welcome>(bytes) };
		case type.replay:
			return { type: "replay", replay: json<Replay>(bytes) };
		case type.exit:
			return { type: "exit", exit: json<Exit>(bytes) };
		case type.error:
			return { type: "error", fault: json<Fault>(bytes) };
		case type.notice:
			return { type: "notice", notice: json<Notice>(bytes) };
		case type.heartbeat:
			return { type: "heartbeat", time: Number(view.getBigUint64(1)) };
		default:
			return null;
	}
}

/** Cuts input into frames. */
export function stdin(data: Uint8Array): Uint8Array<ArrayBuffer>[] {
	const frames = [];
	for (let at = 0; at < data.length; at += maxStdin) {
		frames.push(frame(type.stdin, data.subarray(at, at + maxStdin)));
	}
	return frames;
}

export function resize(cols: number, rows: number): Uint8Array<ArrayBuffer> {
	const out = new Uint8Array(5);
	const view = new DataView(out.buffer);
	view.setUint8(0, type.resize);
	view.setUint16(1, clamp(cols));
	view.setUint16(3, clamp(rows));
	return out;
}

export function ack(offset: number): Uint8Array<ArrayBuffer> {
	const out = new Uint8Array(9);
	const view = new DataView(out.buffer);
	view.setUint8(0, type.ack);
	view.setBigUint64(1, BigInt(offset));
	return out;
}

export const eof = (): Uint8Array<ArrayBuffer> => Uint8Array.of(type.eof);

export const signal = (name: string) => frame(type.signal, encode({ signal: name }));

/**
 * resumeFrom is the offset parsed so far, or -1 for all that the server has.
 * Zero columns and rows are those of a client that follows another's size.
 */
export function hello(resumeFrom: number, cols: number, rows: number): Uint8Array<ArrayBuffer> {
	return frame(type.hello, encode({ resume_from: resumeFrom, cols: cols && clamp(cols), rows: rows && clamp(rows) }));
}

/** The subprotocols that open a socket: the protocol and the ticket, which is base64url. */
export const subprotocols = (ticket: string) => [protocol, "ticket." + ticket];

function frame(kind: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
	const out = new Uint8Array(1 + body.length);
	out[0] = kind;
	out.set(body, 1);
	return out;
}

const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

function json<T>(bytes: Uint8Array): T {
	return JSON.parse(new TextDecoder().decode(bytes.subarray(1))) as T;
}

const clamp = (n: number) => Math.min(maxSize, Math.max(1, Math.trunc(n) || 1));
