// Recordings: asciicast v2, one JSON value a line.

export interface Cast {
	cols: number;
	rows: number;
	/** The time of the last event. */
	seconds: number;
	events: CastEvent[];
}

export interface CastEvent {
	/** Seconds since the beginning. */
	at: number;
	/** Output, or a new size; other kinds are not played. */
	kind: "o" | "r";
	data: string;
}

/** Reads a recording; one that a crash cut off is played up to there. */
export function parseCast(text: string): Cast {
	const [first = "", ...lines] = text.split("\n");
	let header: { version?: unknown; width?: unknown; height?: unknown };
	try {
		header = JSON.parse(first) as typeof header;
	} catch {
		throw new Error("This is no asciicast: its first line is no JSON.");
	}
	if (header.version !== 2) throw new Error(`This is asciicast version ${String(header.version)}; version 2 can be played.`);
	const events: CastEvent[] = [];
	let seconds = 0;
	for (const line of lines) {
		if (!line) continue;
		let event: unknown;
		try {
			event = JSON.parse(line);
		} catch {
			break; // the end was never written
		}
		if (!Array.isArray(event)) continue;
		const [at, kind, data] = event as unknown[];
		if (typeof at !== "number" || typeof data !== "string") continue;
		seconds = Math.max(seconds, at);
		if (kind === "o" || kind === "r") events.push({ at, kind, data });
	}
	return { cols: cells(header.width, 80), rows: cells(header.height, 24), seconds, events };
}

/** The columns and rows that a resize event names. */
export function sizeOf(data: string): [cols: number, rows: number] | null {
	const size = /^(\d{1,4})x(\d{1,4})$/.exec(data);
	return size ? [cells(Number(size[1]), 80), cells(Number(size[2]), 24)] : null;
}

const cells = (n: unknown, otherwise: number) => (typeof n === "number" && n >= 1 ? Math.min(1000, Math.trunc(n)) : otherwise);
