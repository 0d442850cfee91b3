// What the browser remembers, for this page's own folder: several moorgates may
// stand below one host. A browser that keeps nothing is fine.

import { Cell } from "./cell";
import type { Brightness } from "../terminal/look";

const prefix = () => "moorgate:" + location.pathname + ":";

export function kept(name: string): string | null {
	try {
		return localStorage.getItem(prefix() + name);
	} catch {
		return null;
	}
}

export function keep(name: string, value: string): void {
	try {
		localStorage.setItem(prefix() + name, value);
	} catch {
		// It is forgotten with the page.
	}
}

/** The same, for this tab of the browser only. */
export function keepHere(name: string, value: string): void {
	try {
		sessionStorage.setItem(prefix() + name, value);
	} catch {
		// It is forgotten with the page.
	}
}

export function keptHere(name: string): string | null {
	try {
		return sessionStorage.getItem(prefix() + name);
	} catch {
		return null;
	}
}

export type Theme = "system" | "light" | "dark";

export const minFont = 8;
export const maxFont = 32;
export const defaultFont = 14;

const oneOf = <T extends string>(value: string | null, all: readonly T[], otherwise: T) =>
	all.includes(value as T) ? (value as T) : otherwise;

export const theme = new Cell<Theme>(oneOf(kept("theme"), ["system", "light", "dark"], "system"));
export const fontSize = new Cell(clampFont(Number(kept("font")) || defaultFont));
export const screenReader = new Cell(kept("screen-reader") === "yes");
export const sidebarOpen = new Cell(kept("sidebar") !== "closed");

const dark = matchMedia("(prefers-color-scheme: dark)");

export const brightness = new Cell<Brightness>("light");

function applyTheme(): void {
	const chosen = theme.value;
	if (chosen === "system") delete document.documentElement.dataset["theme"];
	else document.documentElement.dataset["theme"] = chosen;
	brightness.set((chosen === "system" ? dark.matches : chosen === "dark") ? "dark" : "light");
}

applyTheme();
dark.addEventListener("change", applyTheme);
theme.follow(() => {
	keep("theme", theme.value);
	applyTheme();
});
fontSize.follow(() => keep("font", String(fontSize.value)));
screenReader.follow(() => keep("screen-reader", screenReader.value ? "yes" : "no"));
sidebarOpen.follow(() => keep("sidebar", sidebarOpen.value ? "open" : "closed"));

export function setFont(size: number): void {
	fontSize.set(clampFont(size));
}

function clampFont(size: number): number {
	return Math.min(maxFont, Math.max(minFont, Math.round(size)));
}
