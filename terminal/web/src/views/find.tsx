import { useEffect, useRef, useState } from "preact/hooks";
import { Cell } from "../data/cell";
import { IconButton } from "../parts/icon";
import type { Terminal } from "../terminal/terminal";
import { t } from "../text";

/** Asks a pane to show its search field. */
export const findRequest = new Cell({ pane: "", n: 0 });

export const askFind = (pane: string) => findRequest.update(({ n }) => ({ pane, n: n + 1 }));

export function Find({ terminal, request, close }: { terminal: Terminal; request: number; close: () => void }) {
	const field = useRef<HTMLInputElement>(null);
	const [text, setText] = useState("");
	const [found, setFound] = useState({ at: 0, of: 0 });
	const find = (what: string, back: boolean) => void terminal.find(what, back, (at, of) => setFound({ at, of }));
	useEffect(() => field.current!.select(), [request]);
	useEffect(() => find(text, true), [text]);
	const keys = (e: KeyboardEvent) => {
		if (e.key === "Enter") find(text, !e.shiftKey);
		else if (e.key === "Escape") close();
		else return;
		e.preventDefault();
		e.stopPropagation();
	};
	return (
		<div class="find" role="search" onKeyDown={keys}>
			<input ref={field} class="input" type="text" aria-label={t("find")} placeholder={t("find")} data-test="find" value={text} onInput={(e) => setText(e.currentTarget.value)} />
			<output>{text && (found.of ? t("find.at", found) : t("find.none"))}</output>
			<IconButton icon="up" label={t("find.older")} onClick={() => find(text, true)} />
			<IconButton icon="down" label={t("find.newer")} onClick={() => find(text, false)} />
			<IconButton icon="close" label={t("close")} onClick={close} />
		</div>
	);
}
