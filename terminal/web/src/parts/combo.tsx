// A text field with a list of what could stand in it.

import { useId, useRef, useState } from "preact/hooks";

export interface Choice {
	value: string;
	/** Shown behind the value. */
	note?: string;
	/** Why it cannot be chosen. */
	refused?: string;
}

interface ComboProps {
	value: string;
	set: (value: string) => void;
	choices: Choice[];
	placeholder?: string;
	label: string;
	none: string;
	test?: string;
	first?: boolean;
}

const shown = 50;

export function Combo({ value, set, choices, placeholder, label, none, test, first }: ComboProps) {
	const [open, setOpen] = useState(false);
	const [at, setAt] = useState(-1);
	const id = useId();
	const list = useRef<HTMLDivElement>(null);
	const words = value.toLowerCase().split(/\s+/);
	const exact = choices.some((c) => c.value === value);
	// A chosen value does not narrow the list: one may want another.
	const found = choices.filter((c) => exact || words.every((w) => c.value.toLowerCase().includes(w))).slice(0, shown);
	const choose = (c: Choice | undefined) => {
		if (!c || c.refused) return;
		set(c.value);
		setOpen(false);
		setAt(-1);
	};
	const move = (to: number) => {
		setOpen(true);
		setAt(to);
		requestAnimationFrame(() => list.current?.children[to]?.scrollIntoView({ block: "nearest" }));
	};
	const keys = (e: KeyboardEvent) => {
		if (e.isComposing) return;
		if (e.key === "ArrowDown") move(Math.min(at + 1, found.length - 1));
		else if (e.key === "ArrowUp") move(Math.max(at - 1, -1));
		else if (e.key === "Enter" && open && at >= 0) choose(found[at]);
		else if (e.key === "Escape" && open) setOpen(false);
		else return;
		e.preventDefault();
		e.stopPropagation();
	};
	return (
		<div class="combo">
			<input
				class="input"
				role="combobox"
				aria-label={label}
				aria-expanded={open}
				aria-controls={`${id}-list`}
				aria-autocomplete="list"
				aria-activedescendant={open && at >= 0 ? `${id}-${at}` : undefined}
				autocomplete="off"
				autocapitalize="none"
				spellcheck={false}
				placeholder={placeholder}
				value={value}
				data-test={test}
				data-first={first}
				onInput={(e) => {
					set(e.currentTarget.value);
					setOpen(true);
					setAt(-1);
				}}
				onClick={() => setOpen(true)}
				onKeyDown={keys}
				onBlur={() => setOpen(false)}
			/>
			{open && (
				<div class="combo-list" role="listbox" id={`${id}-list`} aria-label={label} ref={list} onMouseDown={(e) => e.preventDefault()}>
					{found.map((c, i) => (
						<div key={c.value} id={`${id}-${i}`} role="option" aria-selected={i === at} aria-disabled={c.refused !== undefined} title={c.value} onClick={() => choose(c)}>
							<span class="grow">{c.value}</span>
							<small>{c.refused ?? c.note}</small>
						</div>
					))}
					{found.length === 0 && <div role="option" aria-disabled="true" aria-selected="false">{none}</div>}
				</div>
			)}
		</div>
	);
}
