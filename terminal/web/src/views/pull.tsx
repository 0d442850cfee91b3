import type { Status } from "../terminal/status";
import { bytes, t } from "../text";

/** An image on its way: one line per layer, until the shell is there. */
export function Pull({ status }: { status: Status }) {
	return (
		<div class="overlay pull" data-test="pull" role="status" aria-label={t("pulling")}>
			<h2>{status.pullLine || t("pulling")}</h2>
			{status.layers.map((l) => {
				const part = l.done ? 1 : l.total ? Math.min(1, l.current / l.total) : 0;
				return (
					<div key={l.id} class={"line " + (l.done ? "done" : "")}>
						<span>{l.id}</span>
						<span class="track" role="progressbar" aria-valuenow={Math.round(part * 100)} aria-label={l.id}>
							<i style={{ width: `${part * 100}%` }} />
						</span>
						<span class="num">{l.total ? `${bytes(l.done ? l.total : l.current)} / ${bytes(l.total)}` : ""}</span>
						<span class="word">{l.status}</span>
					</div>
				);
			})}
		</div>
	);
}
