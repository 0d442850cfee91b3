import type { ComponentType, FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { t } from "../text";

/** A component whose code is fetched when it is first shown. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): FunctionComponent<P> {
	let loaded: ComponentType<P> | null = null;
	return function Lazy(props: P) {
		const [, render] = useState(0);
		const [failed, setFailed] = useState(false);
		useEffect(() => {
			if (loaded || failed) return;
			load().then(
				(component) => {
					loaded = component;
					render((n) => n + 1);
				},
				() => setFailed(true),
			);
		}, [failed]);
		if (loaded) {
			const Component = loaded;
			return <Component {...props} />;
		}
		if (!failed) return <p class="waiting" role="status">{t("loading")}</p>;
		return (
			<p class="waiting" role="alert">
				{t("failed.code")}{" "}
				<button type="button" class="link-button" onClick={() => location.reload()}>{t("reload")}</button>
			</p>
		);
	};
}
