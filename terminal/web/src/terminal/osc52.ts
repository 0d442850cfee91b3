// OSC 52: programs may write the clipboard, and never read it.

/** The most bytes that a program may put on the clipboard. */
export const maxClipboard = 1024 * 1024;

/** The text that an OSC 52 wants on the clipboard; null where it wants anything else. */
export function clipboardText(osc: string): string | null {
	const cut = osc.indexOf(";");
	if (cut < 0 || !/^[cps0-7]*$/.test(osc.slice(0, cut))) return null;
	const data = osc.slice(cut + 1);
	if (data === "" || data.length > (maxClipboard * 4) / 3 + 4) return null;
	try {
		const binary = atob(data); // "?", a read, is no base64
		const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch {
		return null;
	}
}
