// "New terminal": a container that runs, or an image.

import { useEffect, useState } from "preact/hooks";
import { openTerminal } from "../data/actions";
import { api, containers, engine, findContainer, may, me } from "../data/app";
import { useCell } from "../data/cell";
import { listImages, nameOf, shortImage } from "../data/engine";
import { failureOf, type Failure } from "../data/http";
import type { Spec } from "../data/server";
import { focusedPane } from "../data/tabs";
import { Combo, type Choice } from "../parts/combo";
import { joinWords, splitWords } from "../parts/command";
import { Dialog } from "../parts/dialog";
import { words } from "../parts/problem";
import { t } from "../text";
import { tagsOf } from "./start";

type Kind = "exec" | "attach" | "run";

/** What a mode needs of the role, besides terminal.open. */
const needs: Record<Kind, string[]> = {
	exec: ["exec.create", "exec.start"],
	attach: ["container.attach"],
	run: ["container.create", "container.start", "container.attach"],
};

export function NewTerminal({ beside, close }: { beside?: string | undefined; close: () => void }) {
	const list = useCell(containers);
	const { engines, roles, user } = me();
	const [on, setOn] = useState(engine.value);
	const missing = (k: Kind) => ["terminal.open", ...needs[k]].find((a) => !may(a, on));
	const allowed = (["exec", "run", "attach"] as const).filter((k) => !missing(k));
	const [kind, setKind] = useState<Kind>(allowed[0] ?? "exec");
	const here = focusedPane();
	const [container, setContainer] = useState(here?.kind === "container" ? here.name : "");
	const [image, setImage] = useState("");
	const [command, setCommand] = useState("");
	const [as, setAs] = useState("");
	const [folder, setFolder] = useState("");
	const [record, setRecord] = useState(false);
	const [home, setHome] = useState(false);
	const [images, setImages] = useState<Choice[]>([]);
	const [imagesFailure, setImagesFailure] = useState<Failure | null>(null);
	const [wrong, setWrong] = useState("");

	useEffect(() => {
		setImages([]);
		setImagesFailure(null);
		if (!may("image.list", on)) return;
		listImages(api(on)).then(
			(all) => setImages(tagsOf(all).map((value) => ({ value, note: t("new.here") }))),
			(err) => setImagesFailure(failureOf(err)),
		);
	}, [on]);

	const running: Choice[] =
		list.state !== "ready"
			? []
			: [...list.value]
					.sort((a, b) => Number(b.State === "running") - Number(a.State === "running"))
					.map((c) => ({ value: nameOf(c), note: shortImage(c.Image), ...(c.State === "running" ? {} : { refused: t("new.stopped") }) }));

	const submit = () => {
		let cmd: string[];
		try {
			cmd = splitWords(command);
		} catch {
			return setWrong(t("new.quote"));
		}
		const target = kind === "run" ? image.trim() : container.trim();
		if (!target) return setWrong(t(kind === "run" ? "new.need.image" : "new.need.container"));
		const spec: Spec = { mode: kind, engine: on };
		if (kind === "run") spec.image = target;
		else spec.container = findContainer(list, target)?.Id ?? target;
		if (kind !== "attach") {
			if (cmd.length > 0) spec.cmd = cmd;
			if (as.trim()) spec.user = as.trim();
			if (folder.trim()) spec.workdir = folder.trim();
		}
		if (kind === "run" && home) spec.volume = homeFolder(user);
		if (record) spec.record = true;
		close();
		openTerminal(spec, cmd.length > 0 ? `${target} · ${joinWords(cmd)}` : target, beside);
	};

	return (
		<Dialog
			title={t("new.terminal")}
			close={close}
			submit={submit}
			test="new-dialog"
			foot={
				<>
					<span class="grow" />
					<button type="button" class="button" onClick={close}>{t("cancel")}</button>
					<button type="submit" class="button primary" disabled={allowed.length === 0} data-test="open">{t("new.open")}</button>
				</>
			}
		>
			{allowed.length === 0 && (
				<p role="alert">{t("not.allowed", { action: missing("exec") ?? "terminal.open", roles: roles.join(", ") || "–" })}</p>
			)}
			<div class="segments" role="radiogroup" aria-label={t("new.kind")}>
				{(["exec", "run", "attach"] as const).map((k) => {
					const lacks = missing(k);
					return (
						<button
							key={k}
							type="button"
							role="radio"
							aria-checked={kind === k}
							disabled={lacks !== undefined}
							title={lacks ? t("not.allowed", { action: lacks, roles: roles.join(", ") || "–" }) : t(`new.${k}.hint`)}
							style="flex:1"
							data-test={`mode-${k}`}
							onClick={() => (setKind(k), setWrong(""))}
						>
							{t(`new.${k}`)}
						</button>
					);
				})}
			</div>
			{engines.length > 1 && (
				<label class="field">
					<span class="label">{t("engine")}</span>
					<select class="input" value={on} onChange={(e) => setOn(e.currentTarget.value)}>
						{engines.map((e) => (
							<option key={e} value={e}>{e}</option>
						))}
					</select>
				</label>
			)}
			{kind === "run" ? (
				<div class="field">
					<span class="label">{t("new.image")}</span>
					<Combo key="image" value={image} set={(v) => (setImage(v), setWrong(""))} choices={images} placeholder="busybox:1.36" label={t("new.image")} none={t("new.image.none")} test="image" first />
					<span class="hint">{imagesFailure ? words(imagesFailure) : t("new.image.hint")}</span>
				</div>
			) : (
				<div class="field">
					<span class="label">{t("new.container")}</span>
					<Combo key="container" value={container} set={(v) => (setContainer(v), setWrong(""))} choices={running} label={t("new.container")} none={t("nothing.found")} test="container-field" first />
					<span class="hint">{t(`new.${kind}.hint`)}</span>
				</div>
			)}
			{kind !== "attach" && (
				<>
					<label class="field">
						<span class="label">{t("new.command")}</span>
						<input class="input mono" value={command} autocomplete="off" autocapitalize="none" spellcheck={false} placeholder={t("new.command.default")} data-test="command" onInput={(e) => (setCommand(e.currentTarget.value), setWrong(""))} />
					</label>
					<div class="pair">
						<label class="field">
							<span class="label">{t("new.user")}</span>
							<input class="input" value={as} autocomplete="off" autocapitalize="none" spellcheck={false} placeholder={t("new.user.default")} data-test="user-field" onInput={(e) => setAs(e.currentTarget.value)} />
						</label>
						<label class="field">
							<span class="label">{t("new.folder")}</span>
							<input class="input" value={folder} autocomplete="off" autocapitalize="none" spellcheck={false} placeholder={t("new.folder.default")} data-test="folder" onInput={(e) => setFolder(e.currentTarget.value)} />
						</label>
					</div>
				</>
			)}
			{(may("terminal.record", on) || kind === "run") && (
				<div class="field">
					{may("terminal.record", on) && (
						<label class="check">
							<input type="checkbox" checked={record} data-test="record" onChange={(e) => setRecord(e.currentTarget.checked)} />
							<span>
								{t("new.record")}
								<small>{t("new.record.hint")}</small>
							</span>
						</label>
					)}
					{kind === "run" && (
						<label class="check">
							<input type="checkbox" checked={home} data-test="home" onChange={(e) => setHome(e.currentTarget.checked)} />
							<span>
								{t("new.home")}
								<small>{t("new.home.hint", { folder: homeFolder(user) })}</small>
							</span>
						</label>
					)}
				</div>
			)}
			{wrong && <p role="alert" style="color:var(--red)">{wrong}</p>}
		</Dialog>
	);
}

/** Where the volume that a user keeps is put. */
export function homeFolder(user: string): string {
	return `/home/${/^[a-z_][a-z0-9_.-]*$/i.test(user) ? user : "me"}`;
}
