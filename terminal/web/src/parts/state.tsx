// States, told by shape and colour: ● running, ◐ on its way, ○ ended, ✕ failed.

import { t } from "../text";

export type State = "running" | "reconnecting" | "ended" | "failed";

export function StateSign({ state, label }: { state: State; label?: string }) {
	const text = label ?? t(`state.${state}`);
	return (
		<span class={`state ${state}`} role="img" aria-label={text} title={text} data-state={state}>
			<svg viewBox="0 0 10 10" aria-hidden="true">{shapes[state]}</svg>
		</span>
	);
}

const shapes = {
	running: <circle cx="5" cy="5" r="4" fill="currentColor" />,
	reconnecting: (
		<>
			<circle cx="5" cy="5" r="3.3" fill="none" stroke="currentColor" stroke-width="1.4" />
			<path d="M5 1.7a3.3 3.3 0 0 0 0 6.6z" fill="currentColor" />
		</>
	),
	ended: <circle cx="5" cy="5" r="3.3" fill="none" stroke="currentColor" stroke-width="1.4" />,
	failed: <path d="M1.8 1.8l6.4 6.4M8.2 1.8L1.8 8.2" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" />,
};

/** The sign of a container's state as the Engine names it. */
export function containerSign(state: string): State {
	switch (state) {
		case "running": return "running";
		case "restarting":
		case "removing":
		case "paused": return "reconnecting";
		case "dead": return "failed";
		default: return "ended";
	}
}
