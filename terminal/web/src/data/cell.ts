// A value that components follow.

import { useEffect, useState } from "preact/hooks";

export class Cell<T> {
	private readonly listeners = new Set<() => void>();

	constructor(private current: T) {}

	get value(): T {
		return this.current;
	}

	set(value: T): void {
		if (Object.is(value, this.current)) return;
		this.current = value;
		for (const listener of [...this.listeners]) listener();
	}

	update(change: (value: T) => T): void {
		this.set(change(this.current));
	}

	/** Calls back after each change; gives back how to stop. */
	follow(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}
}

/** The value of a cell, and a new rendering when it changes. */
export function useCell<T>(cell: Cell<T>): T {
	const [, render] = useState({});
	useEffect(() => {
		const stop = cell.follow(() => render({}));
		render({}); // what changed between rendering and now
		return stop;
	}, [cell]);
	return cell.value;
}

/** What is loaded: nothing yet, the value, or why there is none. A value is
 * stale while asking for it again fails. */
export type Loaded<T, E> = { state: "loading" } | { state: "ready"; value: T; stale?: E } | { state: "failed"; failure: E };
