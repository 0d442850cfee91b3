import type { ComponentChildren } from "preact";
import type { Failure } from "../data/http";
import { t } from "../text";
import { Copyable } from "./copy";

/** What went wrong, why, what to do, and the request's id. */
export function Problem({ what, failure, children }: { what: string; failure: Failure; children?: ComponentChildren }) {
	return (
		<div class="problem" role="alert" data-test="problem">
			<strong>{what}</strong>
			<Why failure={failure} />
			{children && <div class="actions">{children}</div>}
		</div>
	);
}

/** A list that could not be asked for again stands below in its last state; why is a click away, to leave room for it. */
export function Stale({ what, failure, retry }: { what: string; failure: Failure; retry: () => void }) {
	return (
		<div class="problem stale-note" role="alert" data-test="problem">
			<strong>{what}</strong>
			<span class="what">{t("list.stale")}</span>
			<details>
				<summary>{t("why")}</summary>
				<Why failure={failure} />
			</details>
			<div class="actions">
				<button type="button" class="button" onClick={retry}>{t("try.again")}</button>
			</div>
		</div>
	);
}

export function Why({ failure }: { failure: Failure }) {
	const hint = failure.hint ?? cure(failure);
	return (
		<>
			<span class="why" data-test="why">{words(failure)}</span>
			{hint && <span class="what">{hint}</span>}
			{failure.requestId && (
				<span class="request">
					{t("request")} <Copyable text={failure.requestId} label={t("copy.request")} />
				</span>
			)}
		</>
	);
}

export function words(failure: Failure): string {
	return failure.message || t("failed.network");
}

/** What to do, where the server does not say it. */
function cure({ status }: Failure): string {
	switch (status) {
		case 0: return t("cure.network");
		case 401: return t("cure.login");
		case 429: return t("cure.later");
		case 502:
		case 503:
		case 504: return t("cure.engine");
		default: return "";
	}
}
