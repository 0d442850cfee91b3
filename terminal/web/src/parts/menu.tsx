import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface MenuProps {
	/** What opens the menu; it gets whether it is open, and what toggles it. */
	button: (open: boolean, toggle: () => void) => ComponentChildren;
	label: string;
	children: (close: () => void) => ComponentChildren;
}

/** A menu below a button. Escape, or a click anywhere else, closes it. */
export function Menu({ button, label, children }: MenuProps) {
	const [open, setOpen] = useState(false);
	const ref = useRef<HTMLSpanElement>(null);
	const close = () => setOpen(false);
	useEffect(() => {
		if (!open) return;
		ref.current!.querySelector<HTMLElement>(".menu-item:not(:disabled)")?.focus();
		const outside = (e: Event) => ref.current!.contains(e.target as Element) || close();
		document.addEventListener("pointerdown", outside, true);
		document.addEventListener("focusin", outside, true);
		return () => {
			document.removeEventListener("pointerdown", outside, true);
			document.removeEventListener("focusin", outside, true);
		};
	}, [open]);
	const keys = (e: KeyboardEvent) => {
		if (!open) return;
		if (e.key === "Escape") {
			close();
			ref.current!.querySelector<HTMLElement>("button")?.focus();
		} else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
			const items = [...ref.current!.querySelectorAll<HTMLElement>(".menu-item:not(:disabled)")];
			const at = items.indexOf(document.activeElement as HTMLElement) + (e.key === "ArrowDown" ? 1 : -1);
			items[(at + items.length) % items.length]?.focus();
		} else {
			return;
		}
		e.preventDefault();
		e.stopPropagation();
	};
	return (
		<span class="anchor" ref={ref} onKeyDown={keys}>
			{button(open, () => setOpen(!open))}
			{open && (
				<div class="menu" role="group" aria-label={label}>
					{children(close)}
				</div>
			)}
		</span>
	);
}
