// Screens whose size is not ours: letters as large as wanted, or as fits.

import type { Terminal as XTerm } from "@xterm/xterm";

/** A screen that needs smaller letters than this, in pixels, is scrolled. */
const smallestFont = 8;

/** Sets the font's size so that the screen fits the element, with room left at its sides. */
export function scaleFont(xterm: XTerm, element: HTMLElement, wanted: number, room: { x: number; y: number }): void {
	const screen = xterm.element?.querySelector<HTMLElement>(".xterm-screen");
	if (!screen?.offsetWidth) return;
	const size = xterm.options.fontSize ?? wanted;
	const scale = Math.min((element.clientWidth - room.x) / screen.offsetWidth, (element.clientHeight - room.y) / screen.offsetHeight);
	const best = Math.max(smallestFont, Math.min(wanted, Math.floor(size * scale * 2) / 2));
	if (Math.abs(best - size) >= 0.5) xterm.options.fontSize = best;
}
