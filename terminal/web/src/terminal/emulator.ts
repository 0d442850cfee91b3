// xterm.js as moorgate's terminals and recordings use it.

import { FitAddon } from "@xterm/addon-fit";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { WebLinksAddon } from "@xterm/addon-web-links";
import { Terminal as XTerm } from "@xterm/xterm";
import { fontFamily, themes, type Brightness } from "./look";

export interface EmulatorOptions {
	brightness: Brightness;
	/** In pixels. */
	fontSize: number;
	screenReader: boolean;
	/** No keyboard, and no answers to what programs ask. */
	readOnly: boolean;
	/** Lines that can be scrolled back. */
	scrollback: number;
	/** Opens a link that was clicked; it is http or https. */
	openLink: (url: string) => void;
}

export interface Emulator {
	xterm: XTerm;
	fit: FitAddon;
}

export function createEmulator(o: EmulatorOptions): Emulator {
	const open = (_: MouseEvent, url: string) => {
		if (isWebLink(url)) o.openLink(url);
	};
	const xterm = new XTerm({
		allowProposedApi: true, // unicode versions and decorations are
		cursorBlink: false,
		cursorInactiveStyle: "outline",
		disableStdin: o.readOnly,
		fontFamily,
		fontSize: o.fontSize,
		linkHandler: { activate: open, allowNonHttpProtocols: false },
		macOptionIsMeta: true,
		minimumContrastRatio: 4.5,
		rescaleOverlappingGlyphs: true,
		screenReaderMode: o.screenReader,
		scrollback: o.scrollback,
		theme: themes[o.brightness],
	});
	const fit = new FitAddon();
	xterm.loadAddon(fit);
	xterm.loadAddon(new WebLinksAddon(open));
	xterm.loadAddon(new Unicode11Addon());
	xterm.unicode.activeVersion = "11"; // the widths that shells and editors reckon with
	return { xterm, fit };
}

/** Whether a link of a program's output may be offered at all. */
export function isWebLink(url: string): boolean {
	try {
		return ["http:", "https:"].includes(new URL(url).protocol);
	} catch {
		return false;
	}
}

/** The text of a terminal's screen, line by line, without what has scrolled away. */
export function screenText(xterm: XTerm): string {
	const buffer = xterm.buffer.active;
	const lines = [];
	for (let row = 0; row < xterm.rows; row++) {
		lines.push(buffer.getLine(buffer.baseY + row)?.translateToString(true) ?? "");
	}
	return lines.join("\n").trimEnd();
}

/** Draws with the graphics card where there is one; gives back how to stop. */
export async function accelerate(xterm: XTerm): Promise<(() => void) | null> {
	const probe = document.createElement("canvas").getContext("webgl2", { failIfMajorPerformanceCaveat: true });
	if (!probe) return null;
	const names = probe.getExtension("WEBGL_debug_renderer_info");
	const card = names ? String(probe.getParameter(names.UNMASKED_RENDERER_WEBGL)) : "";
	const drawnByProcessor = /swiftshader|llvmpipe|software|basic render/i.test(card);
	probe.getExtension("WEBGL_lose_context")?.loseContext();
	if (drawnByProcessor) return null;
	const { WebglAddon } = await import("@xterm/addon-webgl");
	try {
		const addon = new WebglAddon();
		addon.onContextLoss(() => addon.dispose());
		xterm.loadAddon(addon);
		return () => addon.dispose();
	} catch {
		return null; // the plain renderer stays
	}
}
