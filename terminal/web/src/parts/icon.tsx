// The page's signs, drawn on a grid of 16 with one stroke.

const paths = {
	plus: "M8 3v10M3 8h10",
	close: "M4 4l8 8M12 4l-8 8",
	search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.7 10.7L14 14",
	menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
	sidebar: "M2.5 3h11v10h-11zM6.5 3v10",
	terminal: "M2.5 3h11v10h-11zM5 6l2 2-2 2M8.5 10H11",
	split: "M2.5 3h11v10h-11zM8 3v10",
	share: "M10.5 5.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM5 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM10.5 14.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM6.8 7.1l2-2.2M6.8 8.9l2 2.2",
	play: "M5 3l8 5-8 5z",
	pause: "M5.5 3v10M10.5 3v10",
	stop: "M4 4h8v8H4z",
	restart: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3",
	copy: "M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1",
	up: "M4 10l4-4 4 4",
	down: "M4 6l4 4 4-4",
	more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
	shield: "M8 1.8l5 2v4c0 3.2-2.2 5.4-5 6.4-2.8-1-5-3.2-5-6.400v-4z",
	check: "M3 8.500l3.5 3.500L13 4.5",
	back: "M7 4L3 8l4 4M3 8h10",
	forward: "M9 4l4 4-4 4M13 8H3",
	paste: "M5.5 3h-2v10.500h9V3h-2M5.5 2h5v2.500h-5z",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
	return (
		<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
			<path d={paths[name]} stroke-width={name === "more" ? 2 : undefined} />
		</svg>
	);
}

interface IconButtonProps {
	icon: IconName;
	label: string;
	onClick: (e: MouseEvent) => void;
	class?: string;
	disabled?: boolean;
	pressed?: boolean;
	expanded?: boolean;
	test?: string;
}

export function IconButton(p: IconButtonProps) {
	return (
		<button
			type="button"
			class={"icon-button " + (p.class ?? "")}
			title={p.label}
			aria-label={p.label}
			aria-pressed={p.pressed}
			aria-expanded={p.expanded}
			disabled={p.disabled}
			data-test={p.test}
			onClick={p.onClick}
		>
			<Icon name={p.icon} />
		</button>
	);
}

export function Mark() {
	return (
		<svg class="brand-mark" viewBox="0 0 16 16" aria-hidden="true">
			<rect width="16" height="16" rx="3.5" fill="currentColor" />
			<path d="M4 5l3 3-3 3M8.5 11H12" fill="none" stroke="var(--on-accent)" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" />
		</svg>
	);
}
