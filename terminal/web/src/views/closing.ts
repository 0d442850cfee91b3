import { closing, open } from "../data/actions";
import { runs } from "../data/lives";

/** Whether the terminal of a container's pane may go at once; asks if not. */
export function askClose(pane: string): boolean {
	if (!runs(pane)) return true;
	closing.add(pane);
	open.set({ dialog: "close", pane });
	return false;
}
