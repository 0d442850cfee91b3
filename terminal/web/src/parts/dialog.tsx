import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { focusHere } from "../data/actions";
import { t } from "../text";
import { IconButton } from "./icon";

interface DialogProps {
	title: string;
	close: () => void;
	children: ComponentChildren;
	foot?: ComponentChildren;
	submit?: () => void;
	test?: string;
}

/** A dialog over the page; Escape closes it, and the keyboard stays in it. */
export function Dialog({ title, close, children, foot, submit, test }: DialogProps) {
	const ref = useRef<HTMLDialogElement>(null);
	const id = useId();
	useEffect(() => {
		const before = document.activeElement as HTMLElement | null;
		const byKeys = before?.matches(":focus-visible");
		ref.current!.showModal();
		ref.current!.querySelector<HTMLElement>("[data-first]")?.focus();
		return () => {
			// The keyboard goes back to where it was; from a button that the mouse pressed, to the terminal.
			if (!byKeys) focusHere();
			if (byKeys || document.activeElement === document.body) before?.focus();
		};
	}, []);
	const body = (
		<>
			<div class="dialog-head">
				<h2 id={id}>{title}</h2>
				<IconButton icon="close" label={t("close")} onClick={close} />
			</div>
			<div class="dialog-body">{children}</div>
			{foot && <div class="dialog-foot">{foot}</div>}
		</>
	);
	return (
		<dialog
			ref={ref}
			aria-labelledby={id}
			data-test={test}
			onCancel={(e) => {
				e.preventDefault();
				close();
			}}
			onKeyDown={(e) => e.stopPropagation()}
			onClick={(e) => e.target === ref.current && close()}
		>
			<form
				style="display:contents"
				onSubmit={(e) => {
					e.preventDefault();
					submit?.();
				}}
			>
				{body}
			</form>
		</dialog>
	);
}
