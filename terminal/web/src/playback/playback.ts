// Plays a recording into an emulator that nobody types into.

import { createEmulator, screenText, type Emulator } from "../terminal/emulator";
import { themes, type Brightness } from "../terminal/look";
import { scaleFont } from "../terminal/scale";
import { sizeOf, type Cast } from "./cast";

export interface PlaybackOptions {
	brightness: Brightness;
	/** In pixels. */
	fontSize: number;
	screenReader: boolean;
	/** Where it stands, in seconds. */
	time: (seconds: number) => void;
	playing: (on: boolean) => void;
	openLink: (url: string) => void;
}

/** With idle time skipped, no pause is longer, in seconds. */
const longestPause = 1;

export class Playback {
	private readonly emulator: Emulator;
	private readonly element = document.createElement("div");
	private readonly watch = new ResizeObserver(() => this.fit());
	private next = 0;
	private at = 0;
	private speed = 1;
	private skip = true;
	private frame = 0;
	private last = 0;
	private fontSize: number;

	constructor(
		private readonly cast: Cast,
		private readonly host: HTMLElement,
		private readonly o: PlaybackOptions,
	) {
		this.fontSize = o.fontSize;
		this.emulator = createEmulator({ ...o, readOnly: true, scrollback: 0 });
		this.emulator.xterm.parser.registerOscHandler(52, () => true); // a recording writes no clipboard
		this.element.className = "terminal";
		Object.assign(this.element, { playback: this });
		host.replaceChildren(this.element);
		this.emulator.xterm.open(this.element);
		this.resize(cast.cols, cast.rows);
		this.watch.observe(host);
	}

	play(): void {
		if (this.frame) return;
		if (this.next >= this.cast.events.length) this.seek(0);
		this.last = performance.now();
		this.frame = requestAnimationFrame((now) => this.tick(now));
		this.o.playing(true);
	}

	pause(): void {
		cancelAnimationFrame(this.frame);
		this.frame = 0;
		this.o.playing(false);
	}

	pace(speed: number, skip: boolean): void {
		this.speed = speed;
		this.skip = skip;
	}

	/** Shows the screen as it was at a time. */
	seek(seconds: number): void {
		const to = Math.min(Math.max(0, seconds), this.cast.seconds);
		if (to < this.at) {
			this.emulator.xterm.reset();
			this.resize(this.cast.cols, this.cast.rows);
			this.next = 0;
		}
		this.at = to;
		this.show();
	}

	look(brightness: Brightness, fontSize: number): void {
		this.emulator.xterm.options.theme = themes[brightness];
		this.fontSize = fontSize;
		this.fit();
	}

	text(): string {
		return screenText(this.emulator.xterm);
	}

	dispose(): void {
		cancelAnimationFrame(this.frame);
		this.watch.disconnect();
		this.emulator.xterm.dispose();
		this.element.remove();
	}

	private tick(now: number): void {
		const step = ((now - this.last) / 1000) * this.speed;
		this.last = now;
		const next = this.cast.events[this.next];
		this.at += step;
		// A long pause is cut from its beginning: what is left of it is short.
		if (this.skip && next && next.at - this.at > longestPause) this.at = next.at - longestPause;
		this.show();
		if (this.next < this.cast.events.length) this.frame = requestAnimationFrame((t) => this.tick(t));
		else this.pause();
	}

	/** Writes all that happened up to now. */
	private show(): void {
		const { events, seconds } = this.cast;
		let text = "";
		for (let event = events[this.next]; event && event.at <= this.at; event = events[++this.next]) {
			if (event.kind === "o") {
				text += event.data;
				continue;
			}
			const size = sizeOf(event.data);
			this.emulator.xterm.write(text);
			text = "";
			if (size) this.emulator.xterm.write("", () => this.resize(...size));
		}
		if (text) this.emulator.xterm.write(text);
		if (this.next >= events.length) this.at = seconds;
		this.o.time(this.at);
	}

	private resize(cols: number, rows: number): void {
		this.emulator.xterm.resize(cols, rows);
		this.fit();
	}

	/** Letters as large as the user likes, or as the recording's screen allows. */
	private fit(): void {
		scaleFont(this.emulator.xterm, this.host, this.fontSize, { x: 24, y: 8 });
	}
}
