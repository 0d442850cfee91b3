// Colours of log lines. What else an escape sequence could do, it cannot here.

export interface Piece {
	text: string;
	/** An index of the sixteen colours, or "" for the text's own. */
	color: string;
	bold: boolean;
	dim: boolean;
}

const names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

// CSI, OSC and other sequences, and the controls that are no sequence.
const escapes = /\x1b\[([0-9;:]*)([ -/]*[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_][\s\S]*?(?:\x1b\\|$)|\x1b[ -/]*[0-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

export function pieces(line: string): Piece[] {
	const out: Piece[] = [];
	let color = "";
	let bold = false;
	let dim = false;
	let at = 0;
	const push = (text: string) => text && out.push({ text, color, bold, dim });
	for (const m of line.matchAll(escapes)) {
		push(line.slice(at, m.index));
		at = m.index + m[0].length;
		if (m[2] !== "m") continue;
		const codes = (m[1] ?? "").split(/[;:]/).map(Number);
		for (let i = 0; i < codes.length; i++) {
			const c = codes[i]!;
			if (c === 0) [color, bold, dim] = ["", false, false];
			else if (c === 1) bold = true;
			else if (c === 2) dim = true;
			else if (c === 22) bold = dim = false;
			else if (c >= 30 && c <= 37) color = names[c - 30]!;
			else if (c >= 90 && c <= 97) color = "bright-" + names[c - 90]!;
			else if (c === 39) color = "";
			else if (c === 38 || c === 48) {
				const n = codes[i + 1] === 5 ? codes[i + 2] : undefined;
				if (c === 38) color = n !== undefined && n < 16 ? (n < 8 ? names[n]! : "bright-" + names[n - 8]!) : "";
				i += codes[i + 1] === 5 ? 2 : 4;
			}
		}
	}
	push(line.slice(at));
	return out;
}

export const plainText = (line: string) => line.replace(escapes, "");
