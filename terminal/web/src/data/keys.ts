// The page's own keys. The terminal gets every other key.

import type { Key } from "../text";

export type Command =
	| { do: "new" | "close" | "split" | "find" | "copy" | "larger" | "smaller" | "normal" | "help" | "filter" }
	| { do: "paste" }
	| { do: "tab"; n: number };

/** The command of a key, if it is one of the page's wherever the keyboard is. */
export function commandOf(e: KeyboardEvent): Command | null {
	if (e.type !== "keydown" || e.metaKey) return null;
	const digit = /^Digit([1-9])$/.exec(e.code);
	if (e.ctrlKey && e.shiftKey && !e.altKey) {
		if (digit) return { do: "tab", n: Number(digit[1]) };
		switch (e.code) {
			case "KeyT": return { do: "new" };
			case "KeyW": return { do: "close" };
			case "KeyD": return { do: "split" };
			case "KeyF": return { do: "find" };
			case "KeyL": return { do: "filter" }; // the way out of a terminal, which takes Tab
			case "KeyC": return { do: "copy" };
			case "KeyV": return { do: "paste" };
		}
	}
	// Browsers keep Ctrl+Shift+T and W for themselves, but in windows without tabs.
	if (e.altKey && e.shiftKey && !e.ctrlKey) {
		if (e.code === "KeyT") return { do: "new" };
		if (e.code === "KeyW") return { do: "close" };
	}
	if (e.ctrlKey && !e.altKey) {
		if (e.key === "+" || e.key === "=") return { do: "larger" };
		if (e.key === "-" && !e.shiftKey) return { do: "smaller" };
		if (e.key === "0" && !e.shiftKey) return { do: "normal" };
	}
	return null;
}

export const isPageKey = (e: KeyboardEvent) => commandOf(e) !== null;

/** The list that `?` shows. */
export const keyTable: [keys: string[][], text: Key][] = [
	[[["Ctrl", "Shift", "T"], ["Alt", "Shift", "T"]], "keys.new"],
	[[["Ctrl", "Shift", "W"], ["Alt", "Shift", "W"]], "keys.close"],
	[[["Ctrl", "Shift", "D"]], "keys.split"],
	[[["Ctrl", "Shift", "1…9"]], "keys.tab"],
	[[["Ctrl", "Shift", "F"]], "keys.find"],
	[[["Ctrl", "Shift", "C"]], "keys.copy"],
	[[["Ctrl", "Shift", "V"]], "keys.paste"],
	[[["Ctrl", "+"], ["Ctrl", "-"], ["Ctrl", "0"]], "keys.font"],
	[[["/"], ["Ctrl", "Shift", "L"]], "keys.filter"],
	[[["?"]], "keys.help"],
];
