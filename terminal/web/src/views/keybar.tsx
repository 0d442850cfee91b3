// Keys that the keyboards of phones lack.

import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Terminal } from "../terminal/terminal";
import { t } from "../text";

const plain = ["|", "/", "-", "~"];

const arrows = { "←": "D", "↓": "B", "↑": "A", "→": "C" } as const;

/** What Ctrl makes of a key. */
export function controlled(c: string): string {
	const code = c.toUpperCase().charCodeAt(0);
	if (c === "?") return "\x7f";
	return c.length === 1 && code >= 0x40 && code <= 0x5f ? String.fromCharCode(code & 0x1f) : c === " " ? "\0" : c;
}

export function KeyBar({ terminal }: { terminal: Terminal }) {
	const [shown, show] = useState({ ctrl: false, alt: false });
	// What is held counts from the tap on, not from the next drawing on.
	const held = useRef(shown);
	const hold = (ctrl: boolean, alt: boolean) => {
		held.current = { ctrl, alt };
		show(held.current);
	};
	const press = (keys: string) => {
		const { ctrl, alt } = held.current;
		terminal.type((alt ? "\x1b" : "") + (ctrl ? controlled(keys) : keys));
		hold(false, false);
	};
	const arrow = (letter: string) => {
		const { ctrl, alt } = held.current;
		const modifier = 1 + (alt ? 2 : 0) + (ctrl ? 4 : 0);
		if (modifier > 1) terminal.type(`\x1b[1;${modifier}${letter}`);
		else terminal.type((terminal.applicationKeys ? "\x1bO" : "\x1b[") + letter);
		hold(false, false);
	};
	// The next letter of the phone's own keyboard takes Ctrl and Alt along.
	useLayoutEffect(() => {
		const take = (e: Event, letter: string) => {
			if (!held.current.ctrl && !held.current.alt) return;
			e.preventDefault();
			e.stopImmediatePropagation();
			press(letter);
		};
		const typed = (e: InputEvent) => {
			if (e.inputType === "insertText" && e.data?.length === 1) take(e, e.data);
		};
		const pressed = (e: KeyboardEvent) => {
			if (e.key.length === 1 && !e.ctrlKey && !e.altKey && !e.metaKey) take(e, e.key);
		};
		const { element } = terminal;
		element.addEventListener("beforeinput", typed, true);
		element.addEventListener("keydown", pressed, true);
		return () => {
			element.removeEventListener("beforeinput", typed, true);
			element.removeEventListener("keydown", pressed, true);
		};
	}, [terminal]);

	const paste = async () => {
		try {
			terminal.paste(await navigator.clipboard.readText());
		} catch {
			const text = prompt(t("paste.prompt"));
			if (text) terminal.paste(text);
		}
	};
	// The terminal keeps the keyboard: a tap here must not take the focus.
	const keep = (e: Event) => e.preventDefault();
	return (
		<div class="keybar" role="toolbar" aria-label={t("keybar")} onMouseDown={keep} data-test="keybar">
			<button type="button" onClick={() => press("\x1b")}>Esc</button>
			<button type="button" onClick={() => press("\t")}>Tab</button>
			<button type="button" aria-pressed={shown.ctrl} onClick={() => hold(!held.current.ctrl, held.current.alt)}>Ctrl</button>
			<button type="button" aria-pressed={shown.alt} onClick={() => hold(held.current.ctrl, !held.current.alt)}>Alt</button>
			{Object.entries(arrows).map(([sign, letter]) => (
				<button key={sign} type="button" aria-label={t(`arrow.${letter}`)} onClick={() => arrow(letter)}>{sign}</button>
			))}
			{plain.map((c) => (
				<button key={c} type="button" onClick={() => press(c)}>{c}</button>
			))}
			<button type="button" onClick={paste}>{t("paste")}</button>
		</div>
	);
}
