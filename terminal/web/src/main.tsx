import { render } from "preact";
import { useEffect } from "preact/hooks";
import { closePane, drawer, focusHere, focusTab, joinById, open, revive, showContainer, split } from "./data/actions";
import { containers, door, engine, enter } from "./data/app";
import { Cell, useCell } from "./data/cell";
import { failureOf, type Failure } from "./data/http";
import { commandOf } from "./data/keys";
import { liveOf } from "./data/lives";
import { defaultFont, fontSize, setFont, sidebarOpen } from "./data/settings";
import { focusedPane, tabs } from "./data/tabs";
import { copyText } from "./parts/copy";
import { Problem } from "./parts/problem";
import { language, preferredLanguage, speak, t } from "./text";
import { Dialogs } from "./views/dialogs";
import { askFind } from "./views/find";
import { Login, readAddress } from "./views/login";
import { askFilter, Sidebar } from "./views/sidebar";
import { Stage } from "./views/stage";

/** Why a link that somebody shared could not be followed. */
const linkFailure = new Cell<Failure | null>(null);

let watch: string | null = null;

function App() {
	const who = useCell(door);
	useCell(language);
	if (who.state === "asking") return <p class="waiting late" role="status">{t("loading")}</p>;
	if (who.state === "closed") return <Login failure={who.failure} />;
	return <Window />;
}

function Window() {
	const wide = useCell(sidebarOpen);
	const drawn = useCell(drawer);
	const refused = useCell(linkFailure);
	useEffect(() => {
		revive();
		if (!watch) return offerFirst();
		follow(watch);
		watch = null;
		return undefined;
	}, []);
	return (
		<div class={`window ${wide ? "" : "collapsed"} ${drawn ? "drawer" : ""}`}>
			<Sidebar />
			<button type="button" class="scrim" aria-label={t("close")} tabIndex={-1} onClick={() => drawer.set(false)} />
			{refused ? (
				<main class="stage">
					<div class="centered">
						<Problem what={t("failed.watch")} failure={refused}>
							<button type="button" class="button" onClick={() => linkFailure.set(null)}>{t("close")}</button>
						</Problem>
					</div>
				</main>
			) : (
				<Stage />
			)}
			<Dialogs />
		</div>
	);
}

function follow(session: string): void {
	joinById(session).catch((err) => linkFailure.set(failureOf(err)));
}

/** With nothing open yet, the first container that runs is one Enter away. */
function offerFirst(): () => void {
	let done = tabs.value.list.length > 0;
	const look = () => {
		if (done || containers.value.state === "loading") return;
		done = true;
		const list = containers.value.state === "ready" ? containers.value.value : [];
		const first = list.filter((c) => c.State === "running").sort((a, b) => b.Created - a.Created)[0];
		if (first && tabs.value.list.length === 0) showContainer(first, engine.value);
	};
	look();
	return containers.follow(look);
}

/** Shows the lists, with the keyboard in their search field. */
function filter(): void {
	sidebarOpen.set(true);
	if (matchMedia("(max-width: 720px)").matches) drawer.set(true);
	askFilter.update((n) => n + 1);
}

function onKey(e: KeyboardEvent): void {
	if (door.value.state !== "open") return;
	const command = commandOf(e);
	const pane = focusedPane();
	if (!command) {
		const field = e.target instanceof Element && e.target.closest("input, textarea, select, dialog, [contenteditable]");
		if (field || e.ctrlKey || e.altKey || e.metaKey) return;
		if (e.key === "?") open.set({ dialog: "keys" });
		else if (e.key === "/") filter();
		else if (e.key === "Escape") drawer.set(false);
		else return;
		e.preventDefault();
		return;
	}
	if (command.do === "paste") return; // the browser's own paste event follows
	e.preventDefault();
	switch (command.do) {
		case "filter": return filter();
		case "new": return open.set({ dialog: "new" });
		case "close": return void (pane && closePane(pane.id));
		case "split": return void (pane && split(pane));
		case "find": return void (pane && askFind(pane.id));
		case "copy": {
			const text = pane && liveOf(pane.id)?.terminal?.selection();
			if (text) void copyText(text);
			return;
		}
		case "larger": return setFont(fontSize.value + 1);
		case "smaller": return setFont(fontSize.value - 1);
		case "normal": return setFont(defaultFont);
		case "tab":
			focusTab(command.n);
			return focusHere();
	}
}

async function start(): Promise<void> {
	await speak(preferredLanguage());
	render(<App />, document.getElementById("app")!);
	document.addEventListener("keydown", onKey);
	watch = await readAddress();
	await enter();
	addEventListener("hashchange", async () => {
		const session = await readAddress();
		if (session && door.value.state === "open") follow(session);
	});
}

void start();
