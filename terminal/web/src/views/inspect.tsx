// A container's description, as a tree that folds.

import { useEffect, useState } from "preact/hooks";
import { inspectContainer, type Inspected } from "../data/engine";
import { failureOf, type Failure } from "../data/http";
import { copyText } from "../parts/copy";
import { Problem } from "../parts/problem";
import { t } from "../text";

type JSONValue = null | boolean | number | string | JSONValue[] | { [key: string]: JSONValue };

const openAtFirst = new Set(["", "State", "Config", "NetworkSettings", "Mounts"]);

export function Inspect({ api, id, state }: { api: string; id: string; state: string }) {
	const [answer, setAnswer] = useState<Inspected | null>(null);
	const [failure, setFailure] = useState<Failure | null>(null);
	const [open, setOpen] = useState<boolean | null>(null);
	const [round, setRound] = useState(0);
	const [copied, setCopied] = useState(false);
	// "Up 3 minutes" becoming 4 is no news.
	const told = state.replace(/\d+ \w+|an? \w+/g, "");
	useEffect(() => {
		let current = true;
		inspectContainer(api, id).then(
			(value) => current && (setAnswer(value), setFailure(null)),
			(err) => current && setFailure(failureOf(err)),
		);
		return () => {
			current = false;
		};
	}, [api, id, told, round]);
	if (failure) {
		return (
			<div style="padding:12px">
				<Problem what={t("failed.inspect")} failure={failure}>
					<button type="button" class="button" onClick={() => setRound(round + 1)}>{t("try.again")}</button>
				</Problem>
			</div>
		);
	}
	if (!answer) return <p class="waiting" role="status">{t("loading.container")}</p>;
	const copy = async () => {
		if (!(await copyText(JSON.stringify(answer, null, 2)))) return;
		setCopied(true);
		setTimeout(() => setCopied(false), 1200);
	};
	return (
		<>
			<div class="toolbar">
				<button type="button" class="button" onClick={() => setOpen(true)}>{t("tree.open")}</button>
				<button type="button" class="button" onClick={() => setOpen(false)}>{t("tree.fold")}</button>
				<span class="grow" />
				<button type="button" class="button" onClick={() => setRound(round + 1)}>{t("refresh")}</button>
				<button type="button" class="button" onClick={copy}>{copied ? t("copied") : t("copy")}</button>
			</div>
			<div class="tree" data-test="inspect" key={String(open)} tabIndex={0} role="group" aria-label={t("view.inspect")}>
				{Object.entries(answer as { [key: string]: JSONValue }).map(([key, value]) => (
					<Branch key={key} name={key} value={value} open={open} top />
				))}
			</div>
		</>
	);
}

interface BranchProps {
	name: string;
	value: JSONValue;
	open: boolean | null;
	top?: boolean;
}

function Branch({ name, value, open, top }: BranchProps) {
	const [shown, setShown] = useState(open ?? (top === true && openAtFirst.has(name)));
	if (value === null || typeof value !== "object") {
		return (
			<div class="leaf">
				<span class="key">{name}</span>: <Leaf value={value} />
			</div>
		);
	}
	const entries = Object.entries(value);
	const list = Array.isArray(value);
	if (entries.length === 0) {
		return (
			<div class="leaf">
				<span class="key">{name}</span>: <span class="count">{list ? "[]" : "{}"}</span>
			</div>
		);
	}
	return (
		<details open={shown} onToggle={(e) => setShown(e.currentTarget.open)}>
			<summary>
				<span class="key">{name}</span> <span class="count">{list ? `[${entries.length}]` : `{${entries.length}}`}</span>
			</summary>
			{shown && (
				<div>
					{entries.map(([key, inner]) => (
						<Branch key={key} name={key} value={inner as JSONValue} open={open} />
					))}
				</div>
			)}
		</details>
	);
}

function Leaf({ value }: { value: null | boolean | number | string }) {
	if (typeof value === "string") return <span class="string">{JSON.stringify(value)}</span>;
	if (typeof value === "number") return <span class="number">{value}</span>;
	return <span class="word">{String(value)}</span>;
}
