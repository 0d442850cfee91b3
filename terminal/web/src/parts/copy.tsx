import { useState } from "preact/hooks";
import { t } from "../text";

/** Puts text on the clipboard, also where the browser has only the old way. */
export async function copyText(text: string): Promise<boolean> {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		const area = document.createElement("textarea");
		area.value = text;
		area.style.position = "fixed";
		(document.querySelector("dialog[open]") ?? document.body).append(area);
		const before = document.activeElement as HTMLElement | null;
		area.select();
		const done = document.execCommand("copy");
		area.remove();
		before?.focus();
		return done;
	}
}

/** Text that a click copies. */
export function Copyable({ text, shown, label }: { text: string; shown?: string; label: string }) {
	const [copied, setCopied] = useState(false);
	const click = async () => {
		if (!(await copyText(text))) return;
		setCopied(true);
		setTimeout(() => setCopied(false), 1200);
	};
	return (
		<button type="button" class="copyable" title={label} aria-label={`${label}: ${shown ?? text}`} onClick={click}>
			{copied ? t("copied") : (shown ?? text)}
		</button>
	);
}

export function CopyButton({ text }: { text: string }) {
	const [copied, setCopied] = useState(false);
	const click = async () => {
		if (!(await copyText(text))) return;
		setCopied(true);
		setTimeout(() => setCopied(false), 1200);
	};
	return <button type="button" class="button" onClick={click}>{copied ? t("copied") : t("copy")}</button>;
}
