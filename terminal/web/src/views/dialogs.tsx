// The small dialogs: closing, keys, sharing, links.

import { useState } from "preact/hooks";
import { closing, finish, open } from "../data/actions";
import { sessions, refreshSessions } from "../data/app";
import { useCell } from "../data/cell";
import { failureOf, type Failure } from "../data/http";
import { keyTable } from "../data/keys";
import { clickedLink } from "../data/lives";
import { invite } from "../data/server";
import { CopyButton } from "../parts/copy";
import { Dialog } from "../parts/dialog";
import { lazy } from "../parts/lazy";
import { Problem } from "../parts/problem";
import { t } from "../text";

const NewTerminal = lazy(() => import("./new").then((m) => m.NewTerminal));

export function Dialogs() {
	const shown = useCell(open);
	const link = useCell(clickedLink);
	const close = () => open.set(null);
	return (
		<>
			{shown?.dialog === "new" && <NewTerminal beside={shown.beside} close={close} />}
			{shown?.dialog === "close" && <Close pane={shown.pane} close={close} />}
			{shown?.dialog === "keys" && <Keys close={close} />}
			{shown?.dialog === "share" && <Share session={shown.session} close={close} />}
			{link && <Link url={link} close={() => clickedLink.set("")} />}
		</>
	);
}

function Close({ pane, close }: { pane: string; close: () => void }) {
	const [failure, setFailure] = useState<Failure | null>(null);
	const cancel = () => {
		closing.delete(pane);
		close();
	};
	const go = async (end: boolean) => {
		try {
			await finish(pane, end);
			close();
			void refreshSessions();
		} catch (err) {
			setFailure(failureOf(err));
		}
	};
	return (
		<Dialog
			title={t("close.title")}
			close={cancel}
			submit={() => void go(true)}
			test="close-dialog"
			foot={
				<>
					<span class="grow" />
					<button type="button" class="button" onClick={() => void go(false)} data-test="keep-running">{t("close.keep")}</button>
					<button type="submit" class="button primary" data-first data-test="end-it">{t("close.end")}</button>
				</>
			}
		>
			<p>{t("close.text")}</p>
			{failure && <Problem what={t("failed.end")} failure={failure} />}
		</Dialog>
	);
}

function Keys({ close }: { close: () => void }) {
	return (
		<Dialog title={t("keys")} close={close} test="keys-dialog">
			<dl class="keys-table">
				{keyTable.map(([ways, text]) => (
					<>
						<dt>
							{ways.map((way, i) => (
								<>
									{i > 0 && " / "}
									{way.map((key, j) => (
										<>
											{j > 0 && " "}
											<kbd>{key}</kbd>
										</>
									))}
								</>
							))}
						</dt>
						<dd>{t(text)}</dd>
					</>
				))}
			</dl>
			<p style="color:var(--dim)">
				{t("keys.rest")} <a href="assets/licenses.txt" target="_blank" rel="noopener noreferrer">{t("licenses")}</a>
			</p>
		</Dialog>
	);
}

function Share({ session, close }: { session: string; close: () => void }) {
	const list = useCell(sessions);
	const info = list.state === "ready" ? list.value.find((s) => s.id === session) : undefined;
	const [user, setUser] = useState("");
	const [role, setRole] = useState<"viewer" | "writer">("viewer");
	const [done, setDone] = useState("");
	const [failure, setFailure] = useState<Failure | null>(null);
	const address = new URL(`#watch=${encodeURIComponent(session)}`, location.href.split("#")[0]).href;
	const send = async () => {
		setFailure(null);
		try {
			await invite(session, user.trim(), role);
			setDone(user.trim());
		} catch (err) {
			setFailure(failureOf(err));
		}
	};
	return (
		<Dialog
			title={t("share.title")}
			close={close}
			submit={() => void send()}
			test="share-dialog"
			foot={
				<>
					<span class="grow" />
					<button type="submit" class="button primary" data-test="invite" disabled={!user.trim()}>{t("share.invite")}</button>
				</>
			}
		>
			<label class="field">
				<span class="label">{t("share.user")}</span>
				<input class="input" data-first data-test="share-user" autocomplete="off" autocapitalize="none" spellcheck={false} value={user} onInput={(e) => (setUser(e.currentTarget.value), setDone(""))} />
			</label>
			<div class="segments" role="radiogroup" aria-label={t("share.may")}>
				{(["viewer", "writer"] as const).map((r) => (
					<button key={r} type="button" role="radio" aria-checked={role === r} style="flex:1" onClick={() => (setRole(r), setDone(""))} data-test={`share-${r}`}>
						{t(`share.${r}`)}
					</button>
				))}
			</div>
			{role === "writer" && <p style="color:var(--dim)">{t("share.warning")}</p>}
			{failure && <Problem what={t("failed.share")} failure={failure} />}
			{done && (
				<div class="field" role="status" data-test="share-done">
					<span>{t("share.done", { user: done })}</span>
					<span style="display:flex;gap:8px">
						<input class="input mono" readonly value={address} aria-label={t("share.link")} onFocus={(e) => e.currentTarget.select()} />
						<CopyButton text={address} />
					</span>
				</div>
			)}
			{info && (info.viewers ?? []).length > 0 && (
				<div class="field">
					<span class="label">{t("share.here")}</span>
					{info.viewers!.map((v) => (
						<span key={v.attachment}>{v.user} · {t(`role.${v.role}`)}</span>
					))}
				</div>
			)}
		</Dialog>
	);
}

function Link({ url, close }: { url: string; close: () => void }) {
	const go = () => {
		window.open(url, "_blank", "noopener,noreferrer");
		close();
	};
	return (
		<Dialog
			title={t("link.title")}
			close={close}
			submit={go}
			test="link-dialog"
			foot={
				<>
					<span class="grow" />
					<CopyButton text={url} />
					<button type="submit" class="button primary" data-first>{t("link.open")}</button>
				</>
			}
		>
			<p>{t("link.text", { host: hostOf(url) })}</p>
			<code style="overflow-wrap:anywhere;max-height:160px;overflow:auto">{url}</code>
		</Dialog>
	);
}

/** The host in the letters that are sent, so that none passes for another. */
const hostOf = (url: string) => new URL(url).host;
