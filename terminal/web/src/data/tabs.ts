// Tabs, each a tree of panes.

import { Cell } from "./cell";
import { keepHere, keptHere } from "./settings";
import type { Spec } from "./server";
import type { Role } from "../terminal/frames";

export type View = "terminal" | "logs" | "stats" | "inspect";

export type Pane =
	| { kind: "container"; id: string; engine: string; container: string; name: string; view: View; session?: string }
	| { kind: "terminal"; id: string; engine: string; title: string; role: Role; session?: string; spec?: Spec }
	| { kind: "recording"; id: string; recording: string; title: string }
	| { kind: "admin"; id: string; view: "sessions" | "recordings" | "denied" };

export type Node = { split: "across" | "down"; ratio: number; a: Node; b: Node } | { pane: Pane };

export interface Tab {
	id: string;
	root: Node;
	/** The pane that has the keyboard. */
	focus: string;
}

export interface Tabs {
	list: Tab[];
	active: string;
}

export const tabs = new Cell<Tabs>(restored());

tabs.follow(() => keepHere("tabs", JSON.stringify(tabs.value)));

let made = 0;
export const newId = () => `p${Date.now().toString(36)}${(made++).toString(36)}`;

export function panesOf(node: Node): Pane[] {
	return "pane" in node ? [node.pane] : [...panesOf(node.a), ...panesOf(node.b)];
}

export const allPanes = () => tabs.value.list.flatMap((tab) => panesOf(tab.root));

export function activeTab(all = tabs.value): Tab | undefined {
	return all.list.find((tab) => tab.id === all.active);
}

export function focusedPane(all = tabs.value): Pane | undefined {
	const tab = activeTab(all);
	return tab && panesOf(tab.root).find((p) => p.id === tab.focus);
}

export function openTab(pane: Pane): void {
	const id = newId();
	tabs.update(({ list }) => ({ list: [...list, { id, root: { pane }, focus: pane.id }], active: id }));
}

export function activate(tab: string, pane?: string): void {
	tabs.update((all) => ({
		active: tab,
		list: pane ? all.list.map((t) => (t.id === tab ? { ...t, focus: pane } : t)) : all.list,
	}));
}

/** Shows the pane that matches, wherever it is; false if there is none. */
export function reveal(matches: (pane: Pane) => boolean): boolean {
	for (const tab of tabs.value.list) {
		const pane = panesOf(tab.root).find(matches);
		if (!pane) continue;
		activate(tab.id, pane.id);
		return true;
	}
	return false;
}

export function changePane(id: string, change: Partial<Pane>): void {
	const walk = (node: Node): Node =>
		"pane" in node
			? node.pane.id === id
				? { pane: { ...node.pane, ...change } as Pane }
				: node
			: { ...node, a: walk(node.a), b: walk(node.b) };
	tabs.update((all) => ({ ...all, list: all.list.map((tab) => ({ ...tab, root: walk(tab.root) })) }));
}

export type Side = "left" | "right" | "top" | "bottom";

/** Puts a tree beside a pane. */
export function splitPane(id: string, side: Side, added: Node): void {
	const walk = (node: Node): Node => {
		if (!("pane" in node)) return { ...node, a: walk(node.a), b: walk(node.b) };
		if (node.pane.id !== id) return node;
		const split = side === "left" || side === "right" ? "across" : "down";
		const before = side === "left" || side === "top";
		return { split, ratio: 0.5, a: before ? added : node, b: before ? node : added };
	};
	const focus = panesOf(added)[0]!.id;
	tabs.update((all) => ({
		...all,
		list: all.list.map((tab) => (panesOf(tab.root).some((p) => p.id === id) ? { ...tab, root: walk(tab.root), focus } : tab)),
	}));
}

/** Moves a whole tab beside a pane of another. */
export function moveTab(tab: string, beside: string, side: Side): void {
	const moved = tabs.value.list.find((t) => t.id === tab);
	if (!moved || panesOf(moved.root).some((p) => p.id === beside)) return;
	const target = tabs.value.list.find((t) => panesOf(t.root).some((p) => p.id === beside));
	if (!target) return;
	tabs.update((all) => ({ active: target.id, list: all.list.filter((t) => t.id !== tab) }));
	splitPane(beside, side, moved.root);
}

export function reorderTab(tab: string, before: string | null): void {
	tabs.update((all) => {
		const moved = all.list.find((t) => t.id === tab);
		if (!moved || tab === before) return all;
		const list = all.list.filter((t) => t.id !== tab);
		const at = before === null ? list.length : list.findIndex((t) => t.id === before);
		list.splice(at < 0 ? list.length : at, 0, moved);
		return { ...all, list };
	});
}

export function setRatio(tab: string, path: string, ratio: number): void {
	const walk = (node: Node, rest: string): Node => {
		if ("pane" in node) return node;
		if (rest === "") return { ...node, ratio: Math.min(0.9, Math.max(0.1, ratio)) };
		return rest[0] === "a" ? { ...node, a: walk(node.a, rest.slice(1)) } : { ...node, b: walk(node.b, rest.slice(1)) };
	};
	tabs.update((all) => ({ ...all, list: all.list.map((t) => (t.id === tab ? { ...t, root: walk(t.root, path) } : t)) }));
}

/** Takes a pane away, and its tab with the last one. */
export function removePane(id: string): void {
	const walk = (node: Node): Node | null => {
		if ("pane" in node) return node.pane.id === id ? null : node;
		const a = walk(node.a);
		const b = walk(node.b);
		return a && b ? { ...node, a, b } : (a ?? b);
	};
	tabs.update((all) => {
		const at = all.list.findIndex((t) => t.id === all.active);
		const list = all.list.flatMap((tab) => {
			const root = walk(tab.root);
			if (!root) return [];
			const focus = panesOf(root).some((p) => p.id === tab.focus) ? tab.focus : panesOf(root)[0]!.id;
			return [{ ...tab, root, focus }];
		});
		const active = list.some((t) => t.id === all.active) ? all.active : (list[Math.min(at, list.length - 1)]?.id ?? "");
		return { list, active };
	});
}

function restored(): Tabs {
	try {
		const all = JSON.parse(keptHere("tabs") ?? "") as Tabs;
		// A terminal that was never opened has nothing to come back to.
		const list = all.list.filter((tab) => panesOf(tab.root).every((p) => p.kind !== "terminal" || p.session));
		return { list, active: list.some((t) => t.id === all.active) ? all.active : (list[0]?.id ?? "") };
	} catch {
		return { list: [], active: "" };
	}
}
