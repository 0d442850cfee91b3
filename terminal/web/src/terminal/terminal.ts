// A terminal of moorgate: an emulator on the page, linked to a session on the
// server. It needs no framework and nothing else of this page:
//
//	const terminal = new Terminal({ page: location.href, session, role: "owner",
//		requestTicket: () => fetchTicket(), change: (status) => render(status), ... });
//	terminal.mount(element);

import type { SearchAddon } from "@xterm/addon-search";
import { isAnswer } from "./answers";
import { accelerate, createEmulator, screenText, type Emulator } from "./emulator";
import * as frames from "./frames";
import { LineEditor } from "./line";
import { Link, type LinkState } from "./link";
import { foundColors, themes, type Brightness } from "./look";
import { clipboardText } from "./osc52";
import { scaleFont } from "./scale";
import { cleanTitle, initialStatus, noticed, type Status } from "./status";
import { onTouch } from "./touch";

export interface TerminalOptions {
	/** The address that api/terminal/socket is relative to. */
	page: string;
	session: string;
	role: frames.Role;
	/** The ticket that came with the session, for the first connection. */
	ticket?: string;
	/** Gives one-use tickets for later connections; rejects with a RefusedError. */
	requestTicket: () => Promise<string>;
	brightness: Brightness;
	/** In pixels. */
	fontSize: number;
	screenReader: boolean;
	/** Says that something changed; called with a new object each time. */
	change: (status: Status) => void;
	/** Keys that are the page's own, not the program's. */
	isPageKey: (event: KeyboardEvent) => boolean;
	openLink: (url: string) => void;
	/** Fingers change the font's size. */
	pinch: (fontSize: number) => void;
}

/** Tickets live 30 s at the server; a first one that waited longer than this is not tried. */
const ticketLife = 20_000;

/** Input that was typed while the connection was away is kept this long, and no more of it. */
const keepTyped = 10_000;
const maxTyped = 4096;

export class Terminal {
	readonly element = document.createElement("div");
	status: Status;

	private readonly emulator: Emulator;
	private readonly link: Link;
	private readonly encoder = new TextEncoder();
	private readonly stops: (() => void)[] = [];
	private readonly made = Date.now();
	private parsed = -1;
	private received = -1;
	private acknowledged = 0;
	private muted = false;
	/** Between WELCOME and the end of the connection; what is typed at other times waits in order. */
	private welcomed = false;
	private truncatedReplay = false;
	private lines: LineEditor | null = null;
	private typed: { at: number; data: Uint8Array }[] = [];
	private sizeTimer = 0;
	private pinchFrom = 0;
	private stopGraphics: (() => void) | null = null;
	private searching: Promise<SearchAddon> | null = null;
	private firstTicket: string | undefined;
	private theirs: { cols: number; rows: number } | null = null;
	private fontSize: number;
	private brightness: Brightness;

	constructor(private readonly o: TerminalOptions) {
		this.status = initialStatus(o.role);
		this.firstTicket = o.ticket;
		this.fontSize = o.fontSize;
		this.brightness = o.brightness;
		this.emulator = createEmulator({ ...o, readOnly: this.watches, scrollback: 10_000 });
		this.element.className = o.role === "owner" ? "terminal" : "terminal follows";
		// Tests and embedding pages find the terminal by its element.
		Object.assign(this.element, { terminal: this });
		this.listen();
		const url = new URL("api/terminal/socket", o.page);
		url.protocol = url.protocol.replace("http", "ws");
		url.search = new URLSearchParams({ session: o.session }).toString();
		url.hash = "";
		this.link = new Link({
			url: url.href,
			ticket: () => this.ticket(),
			hello: () => this.hello(),
			frame: (f) => this.take(f),
			state: (s) => this.linked(s),
		});
	}

	/** Shows the terminal in an element, and connects when it is shown first. */
	mount(host: HTMLElement): void {
		host.append(this.element);
		if (!this.emulator.xterm.element) {
			this.emulator.xterm.open(this.element);
			this.fit();
			this.link.now();
		}
		this.fit();
	}

	/** Says whether the terminal can be seen; only then does it use the graphics card. */
	async show(visible: boolean): Promise<void> {
		if (!visible) {
			this.stopGraphics?.();
			this.stopGraphics = null;
		} else if (!this.stopGraphics) {
			this.fit();
			this.stopGraphics = await accelerate(this.emulator.xterm);
		}
	}

	focus(): void {
		this.emulator.xterm.focus();
	}

	/** The text on the screen. */
	text(): string {
		return screenText(this.emulator.xterm);
	}

	selection(): string {
		return this.emulator.xterm.getSelection();
	}

	/** Types text as a paste: bracketed where the program wants it. */
	paste(text: string): void {
		this.emulator.xterm.paste(text);
	}

	/** Types keys as they are, as the key bar of a phone does. */
	type(keys: string): void {
		this.emulator.xterm.input(keys);
	}

	/** Whether arrow keys are to be sent in the form of applications. */
	get applicationKeys(): boolean {
		return this.emulator.xterm.modes.applicationCursorKeysMode;
	}

	reconnectNow(): void {
		this.link.now();
	}

	dismissNote(): void {
		this.update({ note: null });
	}

	look(brightness: Brightness, fontSize: number, screenReader: boolean): void {
		const { options } = this.emulator.xterm;
		options.theme = themes[brightness];
		this.brightness = brightness;
		options.screenReaderMode = screenReader;
		this.fontSize = fontSize;
		options.fontSize = fontSize;
		this.fit();
	}

	/** Finds text; calls found with the place of the match among all. */
	async find(text: string, back: boolean, found: (at: number, of: number) => void): Promise<void> {
		const search = await this.search(found);
		const decorations = foundColors[this.brightness];
		if (text === "") search.clearDecorations();
		else if (back) search.findPrevious(text, { decorations });
		else search.findNext(text, { decorations });
	}

	endFind(): void {
		void this.searching?.then((s) => s.clearDecorations());
		this.focus();
	}

	/** Leaves the session; it lives on at the server. */
	dispose(): void {
		this.link.close();
		clearTimeout(this.sizeTimer);
		for (const stop of this.stops) stop();
		this.stopGraphics?.();
		this.emulator.xterm.dispose();
		this.element.remove();
	}

	private get watches(): boolean {
		return this.o.role === "viewer";
	}

	private listen(): void {
		const { xterm } = this.emulator;
		xterm.onData((data) => this.input(data));
		xterm.onBinary((data) => this.send(Uint8Array.from(data, (c) => c.charCodeAt(0) & 0xff)));
		xterm.onTitleChange((title) => this.update({ title: cleanTitle(title) }));
		xterm.onResize(() => this.resized());
		xterm.attachCustomKeyEventHandler((e) => !this.o.isPageKey(e));
		xterm.parser.registerOscHandler(52, (osc) => {
			const text = this.muted || this.watches ? null : clipboardText(osc);
			if (text !== null) this.copy(text);
			return true; // nothing else answers
		});
		const seen = new ResizeObserver(() => this.fit());
		seen.observe(this.element);
		this.stops.push(
			() => seen.disconnect(),
			onTouch(this.element, {
				scroll: (n) => xterm.scrollLines(n),
				lineHeight: () => (xterm.element?.clientHeight ?? 0) / xterm.rows || 17,
				pinch: (factor, begins) => {
					if (begins) this.pinchFrom = this.fontSize;
					this.o.pinch(Math.round(this.pinchFrom * factor));
				},
			}),
		);
	}

	private update(change: Partial<Status>): void {
		this.status = { ...this.status, ...change };
		this.o.change(this.status);
	}

	// From the keyboard to the server.

	private input(data: string): void {
		if (this.watches) return;
		// Only one may answer, and never to questions of the past.
		if ((this.muted || this.o.role !== "owner") && isAnswer(data)) return;
		if (this.lines) this.lines.type(data);
		else this.send(this.encoder.encode(data));
	}

	private send(data: Uint8Array): void {
		if (this.watches || (this.welcomed && this.link.send(frames.stdin(data)))) return;
		const kept = this.typed.reduce((n, t) => n + t.data.length, 0);
		if (kept + data.length <= maxTyped) this.typed.push({ at: Date.now(), data });
	}

	private sendTyped(): void {
		const waiting = this.typed.filter((t) => Date.now() - t.at < keepTyped);
		this.typed = [];
		for (const { data } of waiting) this.send(data);
	}

	private copy(text: string): void {
		const refused = () => this.update({ note: { kind: "clipboard", text } });
		if (!this.element.contains(document.activeElement)) return refused();
		navigator.clipboard?.writeText(text).catch(refused) ?? refused();
	}

	// Sizes. The owner's terminal fills its element; the others show the
	// owner's, in letters that are small enough.

	private fit(): void {
		const { xterm, fit } = this.emulator;
		if (!xterm.element || this.element.clientWidth < 20 || this.element.clientHeight < 20) return;
		if (this.o.role === "owner") {
			fit.fit();
			return;
		}
		if (!this.theirs) return;
		const { cols, rows } = this.theirs;
		if (xterm.cols !== cols || xterm.rows !== rows) xterm.resize(cols, rows);
		scaleFont(xterm, this.element, this.fontSize, { x: 16, y: 0 });
	}

	private resized(): void {
		if (this.o.role !== "owner") return;
		clearTimeout(this.sizeTimer);
		this.sizeTimer = window.setTimeout(() => {
			const { cols, rows } = this.emulator.xterm;
			this.link.send([frames.resize(cols, rows)]);
		}, 50);
	}

	// The connection.

	private ticket(): Promise<string> {
		const first = this.firstTicket;
		this.firstTicket = undefined;
		const old = Date.now() - this.made > ticketLife;
		return first === undefined || old ? this.o.requestTicket() : Promise.resolve(first);
	}

	private async hello(): Promise<Uint8Array<ArrayBuffer>> {
		await new Promise<void>((parsed) => this.emulator.xterm.write("", parsed));
		const { cols, rows } = this.emulator.xterm;
		return this.o.role === "owner" ? frames.hello(this.parsed, cols, rows) : frames.hello(this.parsed, 0, 0);
	}

	private linked(state: LinkState): void {
		if (state.kind !== "open") this.welcomed = false;
		switch (state.kind) {
			case "connecting":
				if (this.status.welcome) this.update({ phase: "reconnecting", attempt: state.attempt, retryAt: 0 });
				else this.update({ attempt: state.attempt, retryAt: 0 });
				break;
			case "waiting":
				this.update({
					phase: this.status.welcome ? "reconnecting" : "opening",
					attempt: state.attempt,
					retryAt: state.at,
				});
				break;
			case "closed": {
				const { code, reason, refusal } = state;
				if (this.status.exit) this.update({ phase: "ended" });
				else this.update({ phase: "failed", pulling: false, closed: refusal ? { code, reason, refusal } : { code, reason } });
				this.emulator.xterm.options.disableStdin = true;
				break;
			}
			case "open":
				break; // WELCOME says more
		}
	}

	private take(frame: frames.Frame): void {
		switch (frame.type) {
			case "output":
				this.output(frame.stream, frame.offset, frame.data);
				break;
			case "welcome":
				this.greet(frame.welcome);
				break;
			case "replay":
				this.replay(frame.replay);
				break;
			case "resize":
				this.theirs = { cols: frame.cols, rows: frame.rows };
				if (this.o.role !== "owner") this.fit();
				break;
			case "exit":
				this.update({ phase: "ended", exit: frame.exit, pulling: false });
				this.emulator.xterm.options.disableStdin = true;
				break;
			case "error":
				// After a fatal one comes the close, whose code says whether to try again.
				if (frame.fault.fatal) this.update({ fault: frame.fault });
				else this.update({ note: { kind: "fault", text: frame.fault.message, hint: frame.fault.hint ?? "" } });
				break;
			case "notice":
				this.update(noticed(this.status, frame.notice));
				break;
			case "heartbeat":
				break;
		}
	}

	private greet(welcome: frames.Welcome): void {
		this.welcomed = true;
		this.link.settled();
		if (this.status.welcome && this.status.welcome.epoch !== welcome.epoch) {
			this.parsed = -1; // offsets count anew
			this.emulator.xterm.write("\x1bc");
		}
		this.received = Math.max(this.parsed, welcome.offset);
		this.parsed = this.received;
		this.acknowledged = welcome.offset;
		this.emulator.xterm.options.convertEol = !welcome.tty;
		this.lines ??= welcome.tty ? null : this.lineEditor();
		this.update({
			phase: "live",
			welcome,
			fault: null,
			viewers: [],
			attempt: 0,
			retryAt: 0,
			recording: Boolean(welcome.recording),
		});
		this.sendTyped();
	}

	private lineEditor(): LineEditor {
		return new LineEditor({
			echo: (text) => this.emulator.xterm.write(text),
			send: (text) => this.send(this.encoder.encode(text)),
			eof: () => this.link.send([frames.eof()]),
			signal: (name) => this.link.send([frames.signal(name)]),
		});
	}

	private replay({ state, truncated }: frames.Replay): void {
		const begins = state === "begin";
		this.truncatedReplay = begins && truncated;
		// In the order of the output, as what came before may not be parsed yet.
		if (this.truncatedReplay) this.emulator.xterm.write("\x1bc");
		this.emulator.xterm.write("", () => {
			this.muted = begins;
		});
	}

	private output(stream: "stdout" | "stderr", offset: number, data: Uint8Array): void {
		const end = offset + data.length;
		if (!this.truncatedReplay && offset < this.received) {
			data = data.subarray(Math.min(data.length, this.received - offset));
		}
		this.received = Math.max(this.received, end);
		if (this.status.pulling) this.update({ pulling: false });
		const { xterm } = this.emulator;
		if (stream === "stderr") xterm.write("\x1b[31m");
		xterm.write(data, () => this.acknowledge(end));
		if (stream === "stderr") xterm.write("\x1b[39m");
	}

	private acknowledge(offset: number): void {
		this.parsed = Math.max(this.parsed, offset);
		const every = this.status.welcome?.ack_every ?? 32 * 1024;
		if (this.parsed - this.acknowledged >= every && this.link.send([frames.ack(this.parsed)])) {
			this.acknowledged = this.parsed;
		}
	}

	private search(found: (at: number, of: number) => void): Promise<SearchAddon> {
		this.searching ??= import("@xterm/addon-search").then(({ SearchAddon }) => {
			const addon = new SearchAddon();
			this.emulator.xterm.loadAddon(addon);
			addon.onDidChangeResults((r) => found(r.resultIndex + 1, r.resultCount));
			return addon;
		});
		return this.searching;
	}
}
