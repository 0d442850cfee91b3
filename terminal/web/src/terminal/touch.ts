// Fingers on a terminal: one scrolls, two change the font's size.

export interface TouchTarget {
	/** Lines to scroll by; positive is towards the newest. */
	scroll: (lines: number) => void;
	/** Height of a line, in pixels. */
	lineHeight: () => number;
	/** Where the pinch stands, as a factor of where it began. */
	pinch: (factor: number, begins: boolean) => void;
}

export function onTouch(element: HTMLElement, target: TouchTarget): () => void {
	let y = 0;
	let rest = 0;
	let spread = 0;
	const distance = (t: TouchList) => Math.hypot(t[0]!.clientX - t[1]!.clientX, t[0]!.clientY - t[1]!.clientY);

	const start = (e: TouchEvent) => {
		if (e.touches.length === 2) {
			spread = distance(e.touches);
			target.pinch(1, true);
			e.preventDefault();
		} else if (e.touches.length === 1) {
			y = e.touches[0]!.clientY;
			rest = 0;
		}
	};
	const move = (e: TouchEvent) => {
		if (e.touches.length === 2 && spread > 0) {
			target.pinch(distance(e.touches) / spread, false);
			e.preventDefault();
		} else if (e.touches.length === 1 && spread === 0) {
			const at = e.touches[0]!.clientY;
			rest += (y - at) / target.lineHeight();
			y = at;
			const lines = Math.trunc(rest);
			if (lines !== 0) {
				rest -= lines;
				target.scroll(lines);
				e.preventDefault();
			}
		}
	};
	const end = (e: TouchEvent) => {
		if (e.touches.length < 2) spread = 0;
	};

	const options = { passive: false, capture: true };
	element.addEventListener("touchstart", start, options);
	element.addEventListener("touchmove", move, options);
	element.addEventListener("touchend", end, options);
	element.addEventListener("touchcancel", end, options);
	return () => {
		element.removeEventListener("touchstart", start, options);
		element.removeEventListener("touchmove", move, options);
		element.removeEventListener("touchend", end, options);
		element.removeEventListener("touchcancel", end, options);
	};
}
