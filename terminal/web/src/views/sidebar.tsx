import { useEffect, useRef, useState } from "preact/hooks";
import { canOpen, joinSession, open, showAdmin, showContainer, showRecording, titleOf } from "../data/actions";
import { containers, engine, mayOnAny, mayRecordings, maySessions, me, recordings, refreshContainers, refreshRecordings, refreshSessions, sessions, switchEngine } from "../data/app";
import { Cell, useCell, type Loaded } from "../data/cell";
import { nameOf, shortImage, type Container } from "../data/engine";
import type { Failure } from "../data/http";
import { logOut, type Recording, type Session } from "../data/server";
import { screenReader, sidebarOpen, theme, type Theme } from "../data/settings";
import { focusedPane, tabs } from "../data/tabs";
import { Icon, IconButton, Mark } from "../parts/icon";
import { Menu } from "../parts/menu";
import { Problem, Stale } from "../parts/problem";
import { StateSign, containerSign } from "../parts/state";
import { age, clock, language, speak, t } from "../text";

/** Moves the keyboard to the field that filters the lists. */
export const askFilter = new Cell(0);

/** Rows that a list shows before it is asked for more. */
const firstRows = 100;

export function Sidebar() {
	const [query, setQuery] = useState("");
	const field = useRef<HTMLInputElement>(null);
	const wanted = useCell(askFilter);
	useCell(language);
	useEffect(() => {
		if (wanted) field.current!.focus();
	}, [wanted]);
	return (
		<nav class="sidebar" aria-label={t("sidebar")}>
			<div class="sidebar-top">
				<div class="sidebar-brand">
					<Mark />
					<span class="name">moorgate</span>
					<IconButton icon="sidebar" label={t("sidebar.hide")} class="collapse" onClick={() => sidebarOpen.set(false)} />
				</div>
				<EngineSwitch />
				<div class="filter">
					<Icon name="search" />
					<input
						ref={field}
						class="input"
						type="search"
						aria-label={t("filter")}
						placeholder={t("filter")}
						value={query}
						data-test="filter"
						onInput={(e) => setQuery(e.currentTarget.value)}
						onKeyDown={(e) => {
							if (e.key === "Escape") {
								if (query) setQuery("");
								else field.current!.blur();
							} else if (e.key === "ArrowDown" || e.key === "Enter") {
								const first = document.querySelector<HTMLElement>(".lists .row");
								if (e.key === "Enter") first?.click();
								else first?.focus();
							} else return;
							e.preventDefault();
						}}
					/>
					<kbd aria-hidden="true">/</kbd>
				</div>
			</div>
			<div class="lists" onKeyDown={moveInRows}>
				<Sessions query={query} />
				<Containers query={query} />
				<Recordings query={query} />
			</div>
			{mayOnAny("terminal.admin") && (
				<div class="admin-entry">
					<button type="button" class="row" onClick={showAdmin} data-test="admin">
						<Icon name="shield" />
						<span class="what">{t("admin")}</span>
					</button>
				</div>
			)}
			<Foot />
		</nav>
	);
}

/** Arrow keys go from row to row, through all lists. */
function moveInRows(e: KeyboardEvent): void {
	const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
	if (!step || !(e.currentTarget instanceof HTMLElement)) return;
	const rows = [...e.currentTarget.querySelectorAll<HTMLElement>(".row")];
	const at = rows.indexOf(document.activeElement as HTMLElement);
	if (at < 0) return;
	rows[at + step]?.focus();
	e.preventDefault();
}

function EngineSwitch() {
	const name = useCell(engine);
	const { engines } = me();
	if (engines.length < 2) return null;
	return (
		<label class="engine-switch">
			{t("engine")}
			<select value={name} onChange={(e) => switchEngine(e.currentTarget.value)} data-test="engine">
				{engines.map((e) => (
					<option key={e} value={e}>{e}</option>
				))}
			</select>
		</label>
	);
}

interface ListProps<T> {
	title: string;
	test: string;
	list: Loaded<T[], Failure>;
	match: (item: T) => boolean;
	row: (item: T) => preact.ComponentChild;
	empty: string;
	failed: string;
	retry: () => void;
	action?: preact.ComponentChild;
	filtered: boolean;
}

function List<T>(p: ListProps<T>) {
	const [all, setAll] = useState(false);
	const found = p.list.state === "ready" ? p.list.value.filter(p.match) : [];
	const shown = all ? found : found.slice(0, firstRows);
	return (
		<section aria-label={p.title} data-test={p.test}>
			<div class="list-head">
				<h2>{p.title}</h2>
				{found.length > 0 && <span class="count">{found.length}</span>}
				{p.action}
			</div>
			{p.list.state === "failed" ? (
				<Problem what={p.failed} failure={p.list.failure}>
					<button type="button" class="button" onClick={p.retry}>{t("try.again")}</button>
				</Problem>
			) : (
				<>
					{p.list.state === "ready" && p.list.stale && <Stale what={p.failed} failure={p.list.stale} retry={p.retry} />}
					<ul class={p.list.state === "ready" && p.list.stale ? "list stale" : "list"}>
						{shown.map(p.row)}
						{found.length > shown.length && (
							<li>
								<button type="button" class="row" onClick={() => setAll(true)}>
									<span />
									<span>{t("more", { n: found.length - shown.length })}</span>
								</button>
							</li>
						)}
						{found.length === 0 && <li class="empty">{p.list.state === "loading" ? t("loading") : p.filtered ? t("nothing.found") : p.empty}</li>}
					</ul>
				</>
			)}
		</section>
	);
}

interface RowProps {
	sign: preact.ComponentChild;
	main: string;
	also?: string | undefined;
	age: string;
	title?: string;
	current: boolean;
	onClick: () => void;
	test: string;
}

function Row(p: RowProps) {
	return (
		<li>
			<button type="button" class="row" title={p.title ?? `${p.main} ${p.also ?? ""}`} aria-current={p.current} onClick={p.onClick} data-test={p.test}>
				{p.sign}
				<span class="what">
					<span class="main">{p.main}</span>
					{p.also && <span class="also">{p.also}</span>}
				</span>
				<span class="age">{p.age}</span>
			</button>
		</li>
	);
}

const has = (query: string, ...texts: (string | undefined)[]) => {
	const words = query.toLowerCase().split(/\s+/);
	const all = texts.join(" ").toLowerCase();
	return words.every((w) => all.includes(w));
};

function Sessions({ query }: { query: string }) {
	const list = useCell(sessions);
	const pane = focusedPane(useCell(tabs));
	const mine = me().user;
	const live = (s: Session) => s.state !== "ended";
	if (!maySessions()) return null;
	const sorted: typeof list =
		list.state !== "ready"
			? list
			: { ...list, value: list.value.filter((s) => s.role !== "").sort((a, b) => Number(live(b)) - Number(live(a)) || b.started.localeCompare(a.started)) };
	return (
		<List<Session>
			title={t("sessions")}
			test="sessions"
			list={sorted}
			filtered={query !== ""}
			match={(s) => has(query, titleOf(s), s.user)}
			empty={t("sessions.empty")}
			failed={t("failed.sessions")}
			retry={() => void refreshSessions()}
			action={canOpen() && <IconButton icon="plus" label={t("new.terminal")} onClick={() => open.set({ dialog: "new" })} test="new" />}
			row={(s) => (
				<Row
					key={s.id}
					test="session"
					sign={<StateSign state={!live(s) ? "ended" : s.state === "running" ? "running" : "reconnecting"} label={t(`session.${s.state}`)} />}
					main={titleOf(s)}
					also={s.user === mine ? "" : t("of", { user: s.user })}
					age={age(s.started)}
					current={pane !== undefined && "session" in pane && pane.session === s.id}
					onClick={() => joinSession(s, s.role || "viewer")}
				/>
			)}
		/>
	);
}

function Containers({ query }: { query: string }) {
	const list = useCell(containers);
	const on = useCell(engine);
	const pane = focusedPane(useCell(tabs));
	const sorted: typeof list =
		list.state !== "ready" ? list : { ...list, value: [...list.value].sort((a, b) => Number(b.State === "running") - Number(a.State === "running") || b.Created - a.Created) };
	return (
		<List<Container>
			title={t("containers")}
			test="containers"
			list={sorted}
			filtered={query !== ""}
			match={(c) => has(query, nameOf(c), c.Image, c.Id.slice(0, 12), c.State)}
			empty={t("containers.empty")}
			failed={t("failed.containers")}
			retry={() => void refreshContainers()}
			row={(c) => (
				<Row
					key={c.Id}
					test="container"
					sign={<StateSign state={containerSign(c.State)} label={c.State} />}
					main={nameOf(c)}
					also={shortImage(c.Image)}
					title={`${nameOf(c)}\n${c.Image}\n${c.Status}`}
					age={age(c.Created * 1000)}
					current={pane?.kind === "container" && pane.container === c.Id}
					onClick={() => showContainer(c, on)}
				/>
			)}
		/>
	);
}

function Recordings({ query }: { query: string }) {
	const list = useCell(recordings);
	const pane = focusedPane(useCell(tabs));
	const mine = me().user;
	if (!mayRecordings() || (list.state === "failed" && list.failure.status === 403)) return null;
	const own: typeof list = list.state !== "ready" ? list : { ...list, value: list.value.filter((r) => r.user === mine).sort((a, b) => b.started.localeCompare(a.started)) };
	return (
		<List<Recording>
			title={t("recordings")}
			test="recordings"
			list={own}
			filtered={query !== ""}
			match={(r) => has(query, titleOf(r), r.started)}
			empty={t("recordings.empty")}
			failed={t("failed.recordings")}
			retry={() => void refreshRecordings()}
			row={(r) => (
				<Row
					key={r.id}
					test="recording"
					sign={<Icon name="play" />}
					main={titleOf(r)}
					also={clock(r.seconds)}
					age={age(r.started)}
					current={pane?.kind === "recording" && pane.recording === r.id}
					onClick={() => showRecording(r)}
				/>
			)}
		/>
	);
}

function Foot() {
	const chosen = useCell(theme);
	const reader = useCell(screenReader);
	const lang = useCell(language);
	const { user, roles, evidence } = me();
	const signOut = async () => {
		await logOut();
		tabs.set({ list: [], active: "" });
		location.reload();
	};
	const themes: Theme[] = ["system", "light", "dark"];
	return (
		<div class="sidebar-foot">
			<span class="who" title={roles.join(", ")} data-test="user">
				<span class="avatar" aria-hidden="true">{user.slice(0, 1)}</span>
				{user}
			</span>
			<Menu
				label={t("settings")}
				button={(isOpen, toggle) => <IconButton icon="more" label={t("settings")} expanded={isOpen} onClick={toggle} test="settings" />}
			>
				{(close) => (
					<>
						<div class="menu-note">{t("theme")}</div>
						<div class="segments" role="group" aria-label={t("theme")} style="margin:0 8px 6px">
							{themes.map((name) => (
								<button key={name} type="button" class="menu-item" style="width:auto" aria-pressed={chosen === name} onClick={() => theme.set(name)} data-test={`theme-${name}`}>
									{t(`theme.${name}`)}
								</button>
							))}
						</div>
						<div class="menu-note">{t("language")}</div>
						<div class="segments" role="group" aria-label={t("language")} style="margin:0 8px 6px">
							<button type="button" class="menu-item" style="width:auto" lang="en" aria-pressed={lang === "en"} onClick={() => void speak("en", true)}>English</button>
							<button type="button" class="menu-item" style="width:auto" lang="zh-Hans" aria-pressed={lang === "zh"} onClick={() => void speak("zh", true)}>简体中文</button>
						</div>
						<hr />
						<button type="button" class="menu-item" aria-pressed={reader} onClick={() => screenReader.set(!reader)}>
							<span class="grow">{t("screen.reader")}</span>
							{reader && <Icon name="check" />}
						</button>
						<button type="button" class="menu-item" onClick={() => (close(), open.set({ dialog: "keys" }))}>
							<span class="grow">{t("keys")}</span>
							<kbd>?</kbd>
						</button>
						{(evidence === undefined || evidence === "session") && (
							<>
								<hr />
								<button type="button" class="menu-item" onClick={() => void signOut()} data-test="sign-out">{t("sign.out")}</button>
							</>
						)}
					</>
				)}
			</Menu>
		</div>
	);
}

