// A container: what it is, what can be done with it, its terminal, log, figures
// and description.

import { lazy } from "../parts/lazy";
import { api, containers, engine, findContainer, may, me, refreshContainers } from "../data/app";
import { useCell } from "../data/cell";
import { doTo, listContainers, nameOf, shortImage, type Container, type Deed, type Port } from "../data/engine";
import { failureOf, type Failure } from "../data/http";
import { begin, forget, liveOf, anyLive } from "../data/lives";
import { changePane, type Pane, type View } from "../data/tabs";
import { Copyable } from "../parts/copy";
import { Icon } from "../parts/icon";
import { Problem } from "../parts/problem";
import { StateSign, containerSign } from "../parts/state";
import { Subtabs } from "../parts/tabs";
import { t } from "../text";
import { useEffect, useRef, useState } from "preact/hooks";
import { askClose } from "./closing";
import { TerminalView } from "./terminal";

const Logs = lazy(() => import("./logs").then((m) => m.Logs));
const Stats = lazy(() => import("./stats").then((m) => m.Stats));
const Inspect = lazy(() => import("./inspect").then((m) => m.Inspect));

type ContainerPane = Extract<Pane, { kind: "container" }>;

export function ContainerView({ pane, visible, focused }: { pane: ContainerPane; visible: boolean; focused: boolean }) {
	const { container, gone } = useContainer(pane);
	const engineApi = api(pane.engine);
	const views: { id: View; action: string }[] = [
		{ id: "terminal", action: "terminal.open" },
		{ id: "logs", action: "container.logs" },
		{ id: "stats", action: "container.stats" },
		{ id: "inspect", action: "container.inspect" },
	];
	// What was opened once goes on while another view is shown.
	const opened = useRef(new Set<View>());
	opened.current.add(pane.view);
	const panel = (view: View, content: preact.ComponentChild) =>
		opened.current.has(view) && (
			<div class="subpanel" role="tabpanel" aria-labelledby={`${pane.id}-${view}`} hidden={pane.view !== view}>
				{content}
			</div>
		);
	const running = container?.State === "running";
	return (
		<>
			<Head pane={pane} container={container} gone={gone} />
			<Subtabs
				label={pane.name}
				id={pane.id}
				tabs={views.map(({ id }) => ({ id, text: t(`view.${id}`) }))}
				active={pane.view}
				select={(view) => changePane(pane.id, { view })}
			/>
			{panel("terminal", <Shell pane={pane} container={container} gone={gone} visible={visible && pane.view === "terminal"} focused={focused} />)}
			{panel("logs", may("container.logs", pane.engine) ? <Logs api={engineApi} id={pane.container} /> : <NotAllowed action="container.logs" />)}
			{panel("stats", !may("container.stats", pane.engine) ? <NotAllowed action="container.stats" /> : running ? <Stats api={engineApi} id={pane.container} /> : <p class="waiting">{t("stats.stopped")}</p>)}
			{panel("inspect", may("container.inspect", pane.engine) ? <Inspect api={engineApi} id={pane.container} state={container?.Status ?? ""} /> : <NotAllowed action="container.inspect" />)}
		</>
	);
}

/** What is known of a pane's container, also when the lists show another engine. */
function useContainer({ container: id, engine: on }: ContainerPane): { container: Container | undefined; gone: boolean } {
	const listed = useCell(containers);
	const [fetched, setFetched] = useState<typeof listed>({ state: "loading" });
	const here = useCell(engine) === on;
	useEffect(() => {
		if (here) return;
		const refresh = () => listContainers(api(on)).then((value) => setFetched({ state: "ready", value }), () => {});
		void refresh();
		const poll = setInterval(refresh, 5000);
		return () => clearInterval(poll);
	}, [here, on]);
	const list = here ? listed : fetched;
	const seen = useRef<Container | undefined>(undefined);
	const found = findContainer(list, id);
	if (found) seen.current = found;
	return { container: found ?? seen.current, gone: list.state === "ready" && !found };
}

function NotAllowed({ action }: { action: string }) {
	return <p class="waiting">{t("not.allowed", { action, roles: me().roles.join(", ") || "–" })}</p>;
}

function Head({ pane, container, gone }: { pane: ContainerPane; container: Container | undefined; gone: boolean }) {
	const [busy, setBusy] = useState<Deed | null>(null);
	const [failure, setFailure] = useState<{ deed: Deed; failure: Failure } | null>(null);
	const act = async (deed: Deed) => {
		setBusy(deed);
		setFailure(null);
		try {
			await doTo(api(pane.engine), pane.container, deed);
		} catch (err) {
			setFailure({ deed, failure: failureOf(err) });
		}
		setBusy(null);
		await refreshContainers();
	};
	const running = container?.State === "running" || container?.State === "restarting" || container?.State === "paused";
	const deed = (name: Deed, icon: "play" | "stop" | "restart") =>
		may(`container.${name}`, pane.engine) && (
			<button type="button" class="button" disabled={busy !== null} aria-label={t(`do.${name}`)} data-test={name} onClick={() => void act(name)}>
				<Icon name={icon} />
				<span class={busy === name ? "" : "word"}>{busy === name ? t(`busy.${name}`) : t(`do.${name}`)}</span>
			</button>
		);
	return (
		<header class="ct-head" data-test="container-head">
			<h1>{container ? nameOf(container) : pane.name}</h1>
			<div class="facts">
				{container && !gone && (
					<span class="with-state">
						<StateSign state={containerSign(container.State)} label={container.State} />
						{container.Status || container.State}
					</span>
				)}
				{gone && <span class="with-state"><StateSign state="failed" />{t("container.gone")}</span>}
				{container && <span title={container.Image}>{shortImage(container.Image)}</span>}
				{container && ports(container.Ports).map((p) => <code key={p}>{p}</code>)}
				<Copyable text={pane.container} shown={pane.container.slice(0, 12)} label={t("copy.id")} />
			</div>
			{container && !gone && (
				<div class="buttons">
					{running ? deed("stop", "stop") : deed("start", "play")}
					{running && deed("restart", "restart")}
				</div>
			)}
			{failure && <Problem what={t(`failed.${failure.deed}`)} failure={failure.failure} />}
		</header>
	);
}

/** Published ports once each, though the Engine lists them per address family. */
function ports(all: Port[]): string[] {
	return [...new Set(all.filter((p) => p.PublicPort).map((p) => `${p.PublicPort}→${p.PrivatePort}${p.Type === "tcp" ? "" : "/" + p.Type}`))].sort();
}

interface ShellProps {
	pane: ContainerPane;
	container: Container | undefined;
	gone: boolean;
	visible: boolean;
	focused: boolean;
}

/** One Enter away from a shell. */
function Shell({ pane, container, gone, visible, focused }: ShellProps) {
	useCell(anyLive);
	const button = useRef<HTMLButtonElement>(null);
	const live = liveOf(pane.id);
	const open = () => void begin(pane.id, { mode: "exec", engine: pane.engine, container: pane.container });
	useEffect(() => {
		if (!live && visible && focused) button.current?.focus({ preventScroll: true });
	}, [live, visible, focused, container?.State]);
	if (live) {
		const close = () => {
			if (!askClose(pane.id)) return;
			forget(pane.id);
			changePane(pane.id, { session: undefined } as Partial<Pane>);
		};
		return <TerminalView pane={pane.id} visible={visible} focused={focused} again={open} close={close} />;
	}
	if (gone || !container) return <p class="waiting">{gone ? t("container.gone") : t("loading.container")}</p>;
	if (!may("terminal.open", pane.engine)) return <NotAllowed action="terminal.open" />;
	if (!may("exec.create", pane.engine) || !may("exec.start", pane.engine)) return <NotAllowed action="exec.create" />;
	if (container.State !== "running") {
		return (
			<div class="centered">
				<p>{t("container.stopped")}</p>
				{may("container.start", pane.engine) && (
					<button
						type="button"
						class="button primary"
						ref={button}
						onClick={() => void doTo(api(pane.engine), pane.container, "start").then(refreshContainers, refreshContainers)}
					>
						{t("do.start")}
					</button>
				)}
			</div>
		);
	}
	return (
		<div class="centered">
			<button type="button" class="prompt" ref={button} data-test="open-shell" onClick={open}>
				<span>{nameOf(container)} $</span>
				<span class="cursor" aria-hidden="true" />
				<span class="sr-only">{t("open.shell")}</span>
			</button>
			<p>
				<kbd>Enter</kbd> {t("enter.opens")}
			</p>
		</div>
	);
}
