// What administrators see: live sessions, all recordings, denied requests.

import { useEffect, useState } from "preact/hooks";
import { joinSession, showRecording, titleOf } from "../data/actions";
import { afterFailure, recordings, refreshRecordings, refreshSessions, sessions } from "../data/app";
import { useCell, type Loaded } from "../data/cell";
import { failureOf, type Failure } from "../data/http";
import { endSession, listDenied, sendMessage, type Denied, type Recording, type Session } from "../data/server";
import { changePane, type Pane } from "../data/tabs";
import { Copyable } from "../parts/copy";
import { Dialog } from "../parts/dialog";
import { Problem, Stale } from "../parts/problem";
import { StateSign } from "../parts/state";
import { Subtabs } from "../parts/tabs";
import { age, bytes, clock, moment, span, t, timeOfDay, type Key } from "../text";

type AdminPane = Extract<Pane, { kind: "admin" }>;

export function Admin({ pane }: { pane: AdminPane }) {
	const views = ["sessions", "recordings", "denied"] as const;
	return (
		<>
			<Subtabs
				label={t("admin")}
				id={pane.id}
				tabs={views.map((id) => ({ id, text: t(`admin.${id}`) }))}
				active={pane.view}
				select={(view) => changePane(pane.id, { view })}
			/>
			<div class="subpanel" role="tabpanel" aria-labelledby={`${pane.id}-${pane.view}`}>
				{pane.view === "sessions" && <Sessions />}
				{pane.view === "recordings" && <Recordings />}
				{pane.view === "denied" && <DeniedRequests />}
			</div>
		</>
	);
}

interface Column<T> {
	head: Key;
	number?: boolean;
	cell: (row: T) => preact.ComponentChild;
	class?: string;
}

interface TableProps<T> {
	list: Loaded<T[], Failure>;
	columns: Column<T>[];
	id: (row: T) => string;
	actions?: (row: T) => preact.ComponentChild;
	empty: string;
	failed: string;
	retry: () => void;
	test: string;
}

function Table<T>(p: TableProps<T>) {
	if (p.list.state === "loading") return <p class="waiting" role="status">{t("loading")}</p>;
	if (p.list.state === "failed") {
		return (
			<div style="padding:12px">
				<Problem what={p.failed} failure={p.list.failure}>
					<button type="button" class="button" onClick={p.retry}>{t("try.again")}</button>
				</Problem>
			</div>
		);
	}
	const stale = p.list.stale && (
		<div style="padding:12px">
			<Stale what={p.failed} failure={p.list.stale} retry={p.retry} />
		</div>
	);
	if (p.list.value.length === 0) return stale || <p class="waiting">{p.empty}</p>;
	return (
		<div class="table-wrap" tabIndex={0} role="group" aria-label={t("admin")}>
			{stale}
			<table class={p.list.stale ? "grid cards stale" : "grid cards"} data-test={p.test}>
				<thead>
					<tr>
						{p.columns.map((c) => (
							<th key={c.head} scope="col" class={c.number ? "num" : ""}>{t(c.head)}</th>
						))}
						{p.actions && <th scope="col"><span class="sr-only">{t("actions")}</span></th>}
					</tr>
				</thead>
				<tbody>
					{p.list.value.map((row) => (
						<tr key={p.id(row)}>
							{p.columns.map((c) => (
								<td key={c.head} data-label={t(c.head)} class={(c.number ? "num " : "") + (c.class ?? "")}>{c.cell(row)}</td>
							))}
							{p.actions && <td class="actions">{p.actions(row)}</td>}
						</tr>
					))}
				</tbody>
			</table>
		</div>
	);
}

function Sessions() {
	const list = useCell(sessions);
	const [asked, setAsked] = useState<{ what: "message" | "end"; session: Session } | null>(null);
	const live: typeof list = list.state !== "ready" ? list : { ...list, value: list.value.filter((s) => s.state !== "ended") };
	return (
		<>
			<Table<Session>
				test="admin-sessions"
				list={live}
				id={(s) => s.id}
				empty={t("admin.sessions.empty")}
				failed={t("failed.sessions")}
				retry={() => void refreshSessions()}
				columns={[
					{
						head: "col.user",
						cell: (s) => (
							<span class="with-state">
								<StateSign state={s.state === "running" ? "running" : "reconnecting"} label={t(`session.${s.state}`)} />
								{s.user}
							</span>
						),
					},
					{ head: "col.what", cell: (s) => titleOf(s), class: "cut" },
					{ head: "col.age", number: true, cell: (s) => age(s.started) },
					{ head: "col.idle", number: true, cell: (s) => span(s.idle) },
					{ head: "col.viewers", number: true, cell: (s) => (s.viewers ?? []).length },
					{ head: "col.bytes", number: true, cell: (s) => bytes(s.bytes) },
				]}
				actions={(s) => (
					<>
						<button type="button" class="button" onClick={() => joinSession(s, "viewer")} data-test="watch">{t("watch")}</button>
						<button type="button" class="button" onClick={() => setAsked({ what: "message", session: s })} data-test="message">{t("message")}</button>
						<button type="button" class="button danger" onClick={() => setAsked({ what: "end", session: s })} data-test="end">{t("end")}</button>
					</>
				)}
			/>
			{asked && <Ask {...asked} close={() => setAsked(null)} />}
		</>
	);
}

/** A line that the session's user will read. */
function Ask({ what, session, close }: { what: "message" | "end"; session: Session; close: () => void }) {
	const [text, setText] = useState("");
	const [failure, setFailure] = useState<Failure | null>(null);
	const send = async () => {
		if (!text.trim()) return;
		setFailure(null);
		try {
			if (what === "end") await endSession(session.id, text.trim());
			else await sendMessage(session.id, text.trim());
			close();
			void refreshSessions();
		} catch (err) {
			setFailure(failureOf(err));
		}
	};
	return (
		<Dialog
			title={t(what === "end" ? "end.title" : "message.title", { user: session.user })}
			close={close}
			submit={() => void send()}
			test={`${what}-dialog`}
			foot={
				<>
					<span class="grow" />
					<button type="button" class="button" onClick={close}>{t("cancel")}</button>
					<button type="submit" class="button primary" disabled={!text.trim()} data-test="send">{t(what === "end" ? "end" : "send")}</button>
				</>
			}
		>
			<p style="color:var(--dim)">{titleOf(session)}</p>
			<label class="field">
				<span class="label">{t(what === "end" ? "end.reason" : "message.text")}</span>
				<input class="input" data-first maxLength={300} value={text} data-test="text" onInput={(e) => setText(e.currentTarget.value)} />
				<span class="hint">{t("message.hint", { user: session.user })}</span>
			</label>
			{failure && <Problem what={t(what === "end" ? "failed.end" : "failed.message")} failure={failure} />}
		</Dialog>
	);
}

function Recordings() {
	const list = useCell(recordings);
	useEffect(() => void refreshRecordings(), []);
	const sorted: typeof list = list.state !== "ready" ? list : { state: "ready", value: [...list.value].sort((a, b) => b.started.localeCompare(a.started)) };
	return (
		<Table<Recording>
			test="admin-recordings"
			list={sorted}
			id={(r) => r.id}
			empty={t("recordings.empty")}
			failed={t("failed.recordings")}
			retry={() => void refreshRecordings()}
			columns={[
				{ head: "col.user", cell: (r) => r.user },
				{ head: "col.what", cell: (r) => titleOf(r), class: "cut" },
				{ head: "col.started", cell: (r) => moment(r.started), class: "nowrap" },
				{ head: "col.length", number: true, cell: (r) => clock(r.seconds) },
				{ head: "col.bytes", number: true, cell: (r) => bytes(r.bytes) },
				{ head: "col.exit", number: true, cell: (r) => r.exit_code ?? "–" },
			]}
			actions={(r) => <button type="button" class="button" onClick={() => showRecording(r)}>{t("play")}</button>}
		/>
	);
}

function DeniedRequests() {
	const [list, setList] = useState<Loaded<Denied[], Failure>>({ state: "loading" });
	const load = () =>
		listDenied().then(
			(value) => setList({ state: "ready", value }),
			(err) => setList((now) => afterFailure(now, failureOf(err))),
		);
	useEffect(() => {
		void load();
		const timer = setInterval(() => document.visibilityState === "visible" && void load(), 10_000);
		return () => clearInterval(timer);
	}, []);
	return (
		<Table<Denied>
			test="admin-denied"
			list={list}
			id={(d) => d.id}
			empty={t("admin.denied.empty")}
			failed={t("failed.denied")}
			retry={() => void load()}
			columns={[
				{ head: "col.time", cell: (d) => timeOfDay(d.time), class: "nowrap" },
				{ head: "col.user", cell: (d) => d.user || "–" },
				{ head: "col.action", cell: (d) => <code>{d.action || d.method}</code> },
				{ head: "col.refs", cell: (d) => ((d.refs ?? []).length > 0 ? d.refs.join(", ") : d.path), class: "cut" },
				{ head: "col.rule", cell: (d) => d.rule || "–", class: "cut" },
				{ head: "col.reason", cell: (d) => <Reason text={d.decision === "would_deny" ? `${t("would.deny")}: ${d.reason}` : d.reason} />, class: "cut wide" },
				{ head: "col.request", cell: (d) => <Copyable text={d.id} label={t("copy.request")} /> },
			]}
		/>
	);
}

/** A text of which a long one shows its beginning, and all of it when asked. */
function Reason({ text }: { text: string }) {
	const [whole, setWhole] = useState(false);
	if (text.length < 160 || whole) return <>{text}</>;
	return (
		<>
			{text.slice(0, 120)}{" "}
			<button type="button" class="link-button" aria-label={t("show.all")} title={t("show.all")} onClick={() => setWhole(true)}>…</button>
		</>
	);
}
