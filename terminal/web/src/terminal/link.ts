// One websocket to a session at a time, made again when it breaks.

import { decode, subprotocols, type Frame } from "./frames";

/** A request that was refused, in the server's own words. */
export interface Refusal {
	message: string;
	hint?: string;
	/** Names the request in the server's log. */
	requestId?: string;
	/** The HTTP status; 0 where no answer came. */
	status?: number;
	/** The websocket's close code. */
	code?: number;
}

/** Tells the link that asking for a ticket failed. */
export class RefusedError extends Error {
	constructor(readonly refusal: Refusal) {
		super(refusal.message);
	}
}

export type LinkState =
	| { kind: "connecting"; attempt: number }
	| { kind: "open" }
	/** The next attempt is at `at`, in milliseconds of Date.now(). */
	| { kind: "waiting"; attempt: number; at: number }
	/** It is over: nothing is tried again. */
	| { kind: "closed"; code: number; reason: string; refusal?: Refusal };

export interface LinkOptions {
	/** The address of the socket, ws: or wss:. */
	url: string;
	/** Gives a one-use ticket; rejects with a RefusedError. */
	ticket: () => Promise<string>;
	/** The first frame, made when all that came before has been parsed. */
	hello: () => Promise<Uint8Array<ArrayBuffer>>;
	frame: (frame: Frame) => void;
	state: (state: LinkState) => void;
}

/** After these the session may still be there: server going, network, Engine error. */
const retried = new Set([1001, 1006, 1011]);

/** Answers that another attempt may change. */
const passing = new Set([0, 408, 425, 429, 500, 502, 503, 504]);

const firstDelay = 250;
const longestDelay = 10_000;

/** Two heartbeats and a half: without a frame for so long, the network is gone. */
const silence = 50_000;

/** How long opening a socket may take. */
const patience = 15_000;

/** The most that waits in the browser's own buffer; a paste beyond it waits in ours. */
const highWater = 1024 * 1024;

export class Link {
	private socket: WebSocket | null = null;
	private timer = 0;
	private watchdog = 0;
	private queue: Uint8Array<ArrayBuffer>[] = [];
	private pumping = 0;
	private attempt = 0;
	private greeted = false;
	private over = false;
	private readonly wake = () => {
		if (document.visibilityState === "visible") this.now();
	};
	/** A page that the browser keeps for "back" would go on to be counted as one who is here. */
	private readonly leave = () => {
		if (!this.socket) return;
		this.drop();
		this.retry(); // when the page is back, as its timers stand still meanwhile
	};

	constructor(private readonly options: LinkOptions) {
		addEventListener("online", this.wake);
		addEventListener("pagehide", this.leave);
		document.addEventListener("visibilitychange", this.wake);
	}

	/** Connects at once; does nothing while a connection is open or being made. */
	now(): void {
		if (this.over || this.socket || (this.timer === 0 && this.attempt > 0)) return;
		clearTimeout(this.timer);
		this.timer = 0;
		void this.connect();
	}

	/** Says that the other end lives: a later break starts with short delays again. */
	settled(): void {
		this.attempt = 0;
	}

	/** Sends frames in order; false where there is no connection. */
	send(frames: Uint8Array<ArrayBuffer>[]): boolean {
		if (!this.greeted || this.socket?.readyState !== WebSocket.OPEN) return false;
		this.queue.push(...frames);
		this.pump();
		return true;
	}

	/** Ends the connection and every further attempt. */
	close(): void {
		if (this.over) return;
		this.over = true;
		clearTimeout(this.timer);
		this.drop();
		removeEventListener("online", this.wake);
		removeEventListener("pagehide", this.leave);
		document.removeEventListener("visibilitychange", this.wake);
	}

	private async connect(): Promise<void> {
		this.attempt++;
		this.options.state({ kind: "connecting", attempt: this.attempt });
		let ticket: string;
		try {
			ticket = await this.options.ticket();
		} catch (err) {
			if (this.over) return;
			const refusal = err instanceof RefusedError ? err.refusal : { message: String(err), status: 0 };
			if (passing.has(refusal.status ?? 0)) this.retry();
			else this.end({ kind: "closed", code: 0, reason: refusal.message, refusal });
			return;
		}
		if (this.over) return;
		this.open(ticket);
	}

	private open(ticket: string): void {
		const socket = new WebSocket(this.options.url, subprotocols(ticket));
		socket.binaryType = "arraybuffer";
		this.socket = socket;
		this.greeted = false;
		this.queue = [];
		this.alive(patience);
		socket.onopen = async () => {
			this.alive();
			const hello = await this.options.hello();
			if (this.socket !== socket || socket.readyState !== WebSocket.OPEN) return;
			socket.send(hello);
			this.greeted = true;
			this.options.state({ kind: "open" });
		};
		socket.onmessage = ({ data }) => {
			if (this.socket !== socket || !(data instanceof ArrayBuffer)) return;
			this.alive();
			const frame = decode(data);
			if (frame) this.options.frame(frame);
		};
		socket.onclose = ({ code, reason }) => this.lost(socket, code, reason);
	}

	/** A socket is lost once: by its close event, or by the silence that stands for it. */
	private lost(socket: WebSocket, code: number, reason: string): void {
		if (this.socket !== socket || this.over) return;
		this.drop();
		if (retried.has(code)) this.retry();
		else this.end({ kind: "closed", code, reason });
	}

	private retry(): void {
		const delay = Math.min(longestDelay, firstDelay * 2 ** (this.attempt - 1)) * (0.75 + Math.random() / 2);
		this.timer = window.setTimeout(() => {
			this.timer = 0;
			void this.connect();
		}, delay);
		this.options.state({ kind: "waiting", attempt: this.attempt, at: Date.now() + delay });
	}

	private end(state: LinkState): void {
		this.close();
		this.options.state(state);
	}

	private alive(limit = silence): void {
		clearTimeout(this.watchdog);
		const socket = this.socket;
		this.watchdog = window.setTimeout(() => socket && this.lost(socket, 1006, ""), limit);
	}

	private drop(): void {
		clearTimeout(this.watchdog);
		clearTimeout(this.pumping);
		this.pumping = 0;
		this.queue = [];
		const socket = this.socket;
		this.socket = null;
		this.greeted = false;
		socket?.close();
	}

	private pump(): void {
		const socket = this.socket;
		if (!socket || this.pumping) return;
		while (this.queue.length > 0 && socket.bufferedAmount < highWater) {
			socket.send(this.queue.shift()!);
		}
		if (this.queue.length > 0) {
			this.pumping = window.setTimeout(() => {
				this.pumping = 0;
				this.pump();
			}, 20);
		}
	}
}
