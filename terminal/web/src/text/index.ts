// The words of the page, in the language of the browser or of the user's choice.

import { Cell } from "../data/cell";
import { keep, kept } from "../data/settings";
import { en } from "./en";

export type Key = keyof typeof en;
export type Dictionary = Record<Key, string>;
export type Language = "en" | "zh";

export const language = new Cell<Language>("en");
let words: Dictionary = en;

/** The language that the user chose, or the browser's. */
export function preferredLanguage(): Language {
	const chosen = kept("language");
	if (chosen === "en" || chosen === "zh") return chosen;
	return navigator.languages.find((l) => /^(en|zh)\b/i.test(l))?.toLowerCase().startsWith("zh") === true ? "zh" : "en";
}

/** Loads a language's words and shows them. */
export async function speak(l: Language, remember = false): Promise<void> {
	words = l === "zh" ? (await import("./zh")).zh : en;
	document.documentElement.lang = l === "zh" ? "zh-Hans" : "en";
	if (remember) keep("language", l);
	language.set(l);
}

/** A text, with {name} replaced by the value of that name. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
	return words[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

const locale = () => (language.value === "zh" ? "zh-Hans" : "en");

/** How long ago, in its largest unit. */
export function age(since: string | number): string {
	return span((Date.now() - new Date(since).getTime()) / 1000);
}

/** A time span in seconds, in its largest unit: 40s, 12m, 3h, 5d. */
export function span(seconds: number): string {
	const s = Math.max(0, Math.floor(seconds));
	if (s < 60) return t("unit.s", { n: s });
	if (s < 3600) return t("unit.m", { n: Math.floor(s / 60) });
	if (s < 86400) return t("unit.h", { n: Math.floor(s / 3600) });
	return t("unit.d", { n: Math.floor(s / 86400) });
}

/** A time span as 1:02:03, to the nearest second. */
export function clock(seconds: number): string {
	const s = Math.max(0, Math.round(seconds));
	const two = (n: number) => String(n).padStart(2, "0");
	const h = Math.floor(s / 3600);
	return (h > 0 ? `${h}:${two(Math.floor(s / 60) % 60)}` : String(Math.floor(s / 60))) + `:${two(s % 60)}`;
}

export function bytes(n: number): string {
	const units = ["B", "kB", "MB", "GB", "TB"];
	let i = 0;
	while (n >= 1000 && i < units.length - 1) {
		n /= 1000;
		i++;
	}
	return `${i === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[i]}`;
}

export function moment(at: string | number): string {
	return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(at));
}

export function timeOfDay(at: string | number): string {
	return new Intl.DateTimeFormat(locale(), { timeStyle: "medium" }).format(new Date(at));
}
