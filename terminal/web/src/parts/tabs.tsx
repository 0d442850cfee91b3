// Tabs within a pane: arrow keys move between them.

interface SubtabsProps<T extends string> {
	label: string;
	id: string;
	tabs: { id: T; text: string }[];
	active: T;
	select: (id: T) => void;
}

export function Subtabs<T extends string>({ label, id, tabs, active, select }: SubtabsProps<T>) {
	const keys = (e: KeyboardEvent) => {
		const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
		if (!step) return;
		e.preventDefault();
		const at = tabs.findIndex((tab) => tab.id === active);
		const next = tabs[(at + step + tabs.length) % tabs.length]!;
		select(next.id);
		document.getElementById(`${id}-${next.id}`)?.focus();
	};
	return (
		<div class="subtabs" role="tablist" aria-label={label} onKeyDown={keys}>
			{tabs.map((tab) => (
				<button
					key={tab.id}
					type="button"
					role="tab"
					id={`${id}-${tab.id}`}
					aria-selected={tab.id === active}
					tabIndex={tab.id === active ? 0 : -1}
					data-test={`view-${tab.id}`}
					onClick={() => select(tab.id)}
				>
					{tab.text}
				</button>
			))}
		</div>
	);
}
