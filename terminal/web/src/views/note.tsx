import { useEffect } from "preact/hooks";
import { copyText } from "../parts/copy";
import { IconButton } from "../parts/icon";
import type { Note } from "../terminal/status";
import { span, t } from "../text";

/** News that the user must not miss: they stay until they are read, or no longer hold. */
export function NoteBar({ note, dismiss }: { note: Note; dismiss: () => void }) {
	useEffect(() => {
		if (!note.until) return;
		const timer = setTimeout(dismiss, Math.max(0, note.until - Date.now()));
		return () => clearTimeout(timer);
	}, [note]);
	return (
		<div class="bar note" role="status" data-test={`note-${note.kind}`}>
			<span class="grow">{text(note)}</span>
			{note.kind === "clipboard" && (
				<button
					type="button"
					class="button"
					onClick={async () => {
						await copyText(note.text);
						dismiss();
					}}
				>
					{t("copy")}
				</button>
			)}
			<IconButton icon="close" label={t("dismiss")} onClick={dismiss} />
		</div>
	);
}

function text(note: Note) {
	const left = span(((note.until ?? 0) - Date.now()) / 1000 + 0.5);
	switch (note.kind) {
		case "message":
			return (
				<>
					<strong>{note.from || t("administrator")}:</strong> {note.text}
				</>
			);
		case "idle": return t("note.idle", { left });
		case "max": return t("note.max", { left });
		case "slow": return t("note.slow");
		case "clipboard": return t("note.clipboard", { n: note.text.length });
		case "fault": return note.hint ? `${note.text}: ${note.hint}` : note.text;
	}
}
