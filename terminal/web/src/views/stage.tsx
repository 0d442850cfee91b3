// The right side: tabs, and the panes of the one that is shown.

import { useEffect, useRef, useState } from "preact/hooks";
import { again, closePane, closeTab, drawer, open, split } from "../data/actions";
import { may } from "../data/app";
import { useCell } from "../data/cell";
import { anyLive, liveOf } from "../data/lives";
import { sidebarOpen } from "../data/settings";
import { activate, focusedPane, moveTab, panesOf, reorderTab, setRatio, tabs, type Node, type Pane, type Side, type Tab } from "../data/tabs";
import { Icon, IconButton } from "../parts/icon";
import { lazy } from "../parts/lazy";
import { Menu } from "../parts/menu";
import { StateSign, type State } from "../parts/state";
import { t } from "../text";
import { ContainerView } from "./container";
import { askFind } from "./find";
import { Start } from "./start";
import { TerminalView } from "./terminal";

const Player = lazy(() => import("./player").then((m) => m.Player));
const Admin = lazy(() => import("./admin").then((m) => m.Admin));

export function Stage() {
	const all = useCell(tabs);
	const [dragged, setDragged] = useState<string | null>(null);
	return (
		<main class="stage">
			<TabBar all={all} drag={setDragged} />
			<div class="area">
				{all.list.length === 0 && <Start />}
				{all.list.map((tab) => (
					<div key={tab.id} class="tabpanel" role="tabpanel" id={`panel-${tab.id}`} aria-labelledby={`tab-${tab.id}`} hidden={tab.id !== all.active}>
						<Tree node={tab.root} tab={tab} path="" visible={tab.id === all.active} dragged={dragged} />
					</div>
				))}
			</div>
		</main>
	);
}

/** What a tab is called: by the pane that has the keyboard. */
export function paneTitle(pane: Pane): string {
	const state = liveOf(pane.id)?.state.value;
	const given = state?.step === "open" ? state.status.title : "";
	switch (pane.kind) {
		case "container": {
			const command = state?.step === "open" ? (state.status.welcome?.cmd ?? []).join(" ") : "";
			const what = given || command;
			return what ? `${pane.name} · ${what}` : pane.name;
		}
		case "terminal":
			return given ? `${pane.title.split(" · ")[0]} · ${given}` : pane.title;
		case "recording":
			return t("recording.of", { title: pane.title });
		case "admin":
			return t("admin");
	}
}

function paneState(pane: Pane): State | null {
	const state = liveOf(pane.id)?.state.value;
	if (!state) return null;
	if (state.step === "asking") return "reconnecting";
	if (state.step === "refused") return "failed";
	const { phase, exit } = state.status;
	if (phase === "live") return state.status.pulling ? "reconnecting" : "running";
	if (phase === "ended") return exit?.reason === "exited" && !exit.code ? "ended" : "failed";
	return phase === "failed" ? "failed" : "reconnecting";
}

function TabBar({ all, drag }: { all: typeof tabs.value; drag: (tab: string | null) => void }) {
	useCell(anyLive);
	const wide = useCell(sidebarOpen);
	const keys = (e: KeyboardEvent) => {
		const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
		if (e.key === "Delete") {
			closeTab(all.active);
		} else if (step) {
			const at = all.list.findIndex((tab) => tab.id === all.active);
			const next = all.list[(at + step + all.list.length) % all.list.length];
			if (!next) return;
			activate(next.id);
			requestAnimationFrame(() => document.getElementById(`tab-${next.id}`)?.focus());
		} else return;
		e.preventDefault();
	};
	const others = all.list.length > 1;
	return (
		<div class="tabbar">
			<IconButton icon="menu" label={t("sidebar")} class="hamburger" onClick={() => drawer.set(true)} test="drawer" />
			{!wide && <IconButton icon="sidebar" label={t("sidebar.show")} class="collapse" onClick={() => sidebarOpen.set(true)} />}
			<div class="tabs" role="tablist" aria-label={t("tabs")} onKeyDown={keys} onDragOver={(e) => e.preventDefault()}>
				{all.list.map((tab) => (
					<OneTab key={tab.id} tab={tab} active={tab.id === all.active} drag={drag} />
				))}
			</div>
			{others && (
				<span class="hamburger" style="align-items:center">
					<Menu label={t("tabs")} button={(isOpen, toggle) => <button type="button" class="icon-button" aria-label={t("tabs")} aria-expanded={isOpen} onClick={toggle}>{all.list.length}</button>}>
						{(close) =>
							all.list.map((tab) => (
								<button key={tab.id} type="button" class="menu-item" onClick={() => (close(), activate(tab.id))}>
									<span class="grow">{paneTitle(focusOf(tab))}</span>
									{tab.id === all.active && <Icon name="check" />}
								</button>
							))
						}
					</Menu>
				</span>
			)}
			<Actions pane={focusedPane(all)} />
		</div>
	);
}

const focusOf = (tab: Tab) => panesOf(tab.root).find((p) => p.id === tab.focus) ?? panesOf(tab.root)[0]!;

const dragType = "application/x-moorgate-tab";

function OneTab({ tab, active, drag }: { tab: Tab; active: boolean; drag: (tab: string | null) => void }) {
	const pane = focusOf(tab);
	const state = paneState(pane);
	const title = paneTitle(pane);
	const ref = useRef<HTMLDivElement>(null);
	useEffect(() => {
		if (active) ref.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
	}, [active]);
	return (
		<div
			ref={ref}
			class="tab"
			role="tab"
			id={`tab-${tab.id}`}
			aria-selected={active}
			aria-controls={`panel-${tab.id}`}
			aria-keyshortcuts="Delete"
			tabIndex={active ? 0 : -1}
			title={title}
			data-test="tab"
			draggable
			onClick={() => activate(tab.id)}
			onAuxClick={(e) => e.button === 1 && closeTab(tab.id)}
			onDragStart={(e) => {
				e.dataTransfer!.setData(dragType, tab.id);
				e.dataTransfer!.effectAllowed = "move";
				drag(tab.id);
			}}
			onDragEnd={() => drag(null)}
			onDrop={(e) => {
				const moved = e.dataTransfer!.getData(dragType);
				if (moved) reorderTab(moved, tab.id);
			}}
		>
			{state && <StateSign state={state} />}
			<span class="title">{title}</span>
			{/* Within a tab nothing else may be a button: the keyboard closes it with Delete. */}
			<span
				class="icon-button"
				aria-hidden="true"
				title={t("close")}
				data-test="close-tab"
				onClick={(e) => {
					e.stopPropagation();
					closeTab(tab.id);
				}}
			>
				<Icon name="close" />
			</span>
		</div>
	);
}

function Actions({ pane }: { pane: Pane | undefined }) {
	const live = pane && liveOf(pane.id);
	const state = live?.state.value;
	const status = state?.step === "open" ? state.status : null;
	const running = status?.phase === "live" || status?.phase === "reconnecting";
	const engine = pane && "engine" in pane ? pane.engine : undefined;
	const own = live?.role === "owner";
	const recorded = !own ? t("recorded.of", { user: status?.welcome?.user ?? "" }) : t(may("terminal.record", engine) ? "recorded" : "recorded.admins");
	const share = () => open.set({ dialog: "share", session: live!.session });
	return (
		<div class="tabbar-actions">
			{status?.recording && running && <button type="button" class="recording-dot" title={recorded} aria-label={recorded} data-test="recorded" />}
			{status && running && status.viewers.length > 0 && (
				<button type="button" class="avatars" onClick={own ? share : undefined} title={status.viewers.map((v) => `${v.user} (${t(`role.${v.role}`)})`).join(", ")} aria-label={t("watched.by", { users: status.viewers.map((v) => v.user).join(", ") })} data-test="avatars">
					{status.viewers.slice(0, 5).map((v) => (
						<span key={v.attachment} class="avatar" aria-hidden="true">{v.user.slice(0, 1)}</span>
					))}
					{status.viewers.length > 5 && <span class="avatar">+{status.viewers.length - 5}</span>}
				</button>
			)}
			{running && own && may("terminal.share", engine) && <IconButton icon="share" label={t("share")} onClick={share} test="share" />}
			{running && <IconButton icon="search" label={t("find")} onClick={() => askFind(pane!.id)} class="wide" test="find-button" />}
			{pane && pane.kind !== "admin" && may("terminal.open", engine) && <IconButton icon="split" label={t("keys.split")} onClick={() => split(pane)} class="wide" test="split" />}
			{may("terminal.open") && <IconButton icon="plus" label={t("new.terminal")} onClick={() => open.set({ dialog: "new" })} test="new-tab" />}
		</div>
	);
}

interface TreeProps {
	node: Node;
	tab: Tab;
	path: string;
	visible: boolean;
	dragged: string | null;
}

function Tree({ node, tab, path, visible, dragged }: TreeProps) {
	if ("pane" in node) return <PaneView pane={node.pane} tab={tab} visible={visible} alone={path === ""} dragged={dragged} />;
	const part = (which: "a" | "b") => (
		<div class="half" style={{ flex: `${which === "a" ? node.ratio : 1 - node.ratio} 1 0` }}>
			<Tree node={node[which]} tab={tab} path={path + which} visible={visible} dragged={dragged} />
		</div>
	);
	return (
		<div class={`split ${node.split}`}>
			{part("a")}
			<Divider split={node.split} ratio={node.ratio} set={(ratio) => setRatio(tab.id, path, ratio)} />
			{part("b")}
		</div>
	);
}

function Divider({ split, ratio, set }: { split: "across" | "down"; ratio: number; set: (ratio: number) => void }) {
	const down = (e: PointerEvent) => {
		const bar = e.currentTarget as HTMLElement;
		bar.setPointerCapture(e.pointerId);
		const box = bar.parentElement!.getBoundingClientRect();
		const move = (m: PointerEvent) => set(split === "across" ? (m.clientX - box.left) / box.width : (m.clientY - box.top) / box.height);
		bar.addEventListener("pointermove", move);
		bar.addEventListener("lostpointercapture", () => bar.removeEventListener("pointermove", move), { once: true });
	};
	const keys = (e: KeyboardEvent) => {
		const step = { ArrowLeft: -0.05, ArrowUp: -0.05, ArrowRight: 0.05, ArrowDown: 0.05 }[e.key];
		if (!step) return;
		e.preventDefault();
		set(ratio + step);
	};
	return (
		<div
			class="divider"
			role="separator"
			tabIndex={0}
			aria-label={t("divider")}
			aria-orientation={split === "across" ? "vertical" : "horizontal"}
			aria-valuenow={Math.round(ratio * 100)}
			onPointerDown={down}
			onKeyDown={keys}
			onDblClick={() => set(0.5)}
		/>
	);
}

interface PaneProps {
	pane: Pane;
	tab: Tab;
	visible: boolean;
	alone: boolean;
	dragged: string | null;
}

function PaneView({ pane, tab, visible, alone, dragged }: PaneProps) {
	const [side, setSide] = useState<Side | null>(null);
	const focused = tab.focus === pane.id;
	const over = (e: DragEvent) => {
		if (!dragged || dragged === tab.id) return;
		e.preventDefault();
		setSide(sideOf(e));
	};
	return (
		<section
			class={"pane " + (focused ? "focused" : "")}
			aria-label={paneTitle(pane)}
			data-test="pane"
			data-kind={pane.kind}
			onFocusIn={() => focused || activate(tab.id, pane.id)}
			onPointerDown={() => focused || activate(tab.id, pane.id)}
			onDragOver={over}
			onDragLeave={() => setSide(null)}
			onDrop={(e) => {
				setSide(null);
				const moved = e.dataTransfer!.getData(dragType);
				if (moved) moveTab(moved, pane.id, sideOf(e));
			}}
		>
			{!alone && <IconButton icon="close" label={t("close")} class="pane-close" onClick={() => closePane(pane.id)} />}
			<Content pane={pane} visible={visible} focused={focused} />
			{side && <div class="drop" style={dropStyle[side]} />}
		</section>
	);
}

function Content({ pane, visible, focused }: { pane: Pane; visible: boolean; focused: boolean }) {
	switch (pane.kind) {
		case "container":
			return <ContainerView pane={pane} visible={visible} focused={focused} />;
		case "terminal":
			return <TerminalPane pane={pane} visible={visible} focused={focused} />;
		case "recording":
			return <Player recording={pane.recording} visible={visible} />;
		case "admin":
			return <Admin pane={pane} />;
	}
}

function TerminalPane({ pane, visible, focused }: { pane: Extract<Pane, { kind: "terminal" }>; visible: boolean; focused: boolean }) {
	useCell(anyLive);
	const anew = again(pane);
	return <TerminalView pane={pane.id} visible={visible} focused={focused} {...(anew ? { again: anew } : {})} close={() => closePane(pane.id)} />;
}

const dropStyle: Record<Side, Record<string, string>> = {
	left: { inset: "0 50% 0 0" },
	right: { inset: "0 0 0 50%" },
	top: { inset: "0 0 50% 0" },
	bottom: { inset: "50% 0 0 0" },
};

/** The edge that a drag is nearest to. */
function sideOf(e: DragEvent): Side {
	const box = (e.currentTarget as HTMLElement).getBoundingClientRect();
	const x = (e.clientX - box.left) / box.width;
	const y = (e.clientY - box.top) / box.height;
	const edges: [Side, number][] = [["left", x], ["right", 1 - x], ["top", y], ["bottom", 1 - y]];
	return edges.sort((a, b) => a[1] - b[1])[0]![0];
}
