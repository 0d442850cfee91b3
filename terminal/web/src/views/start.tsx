// What stands where no tab is: the way to the first shell.

import { useEffect, useState } from "preact/hooks";
import { open, openTerminal } from "../data/actions";
import { api, containers, engine, may, me } from "../data/app";
import { useCell } from "../data/cell";
import { listImages, shortImage } from "../data/engine";
import { t } from "../text";

const usual = "busybox";

export function Start() {
	const list = useCell(containers);
	const on = useCell(engine);
	const [images, setImages] = useState<string[]>([]);
	useEffect(() => {
		if (!may("image.list")) return;
		listImages(api()).then((all) => setImages(tagsOf(all)), () => setImages([]));
	}, [on]);
	if (list.state === "loading") return <p class="waiting" role="status">{t("loading")}</p>;
	if (!may("terminal.open")) {
		return (
			<div class="centered" data-test="start">
				<h1>{t("start.choose")}</h1>
				<p>{t("not.allowed", { action: "terminal.open", roles: me().roles.join(", ") || "–" })}</p>
			</div>
		);
	}
	const running = list.state !== "ready" || list.value.some((c) => c.State === "running");
	const canRun = may("container.create") && may("container.start");
	const shell = (image: string) => openTerminal({ mode: "run", engine: on, image }, image);
	// The image that needs no pull, if there is one of that name.
	const quick = images.find((i) => shortImage(i).split(":")[0] === usual) ?? `${usual}:latest`;
	return (
		<div class="centered" data-test="start">
			<h1>{t(running ? "start.choose" : "start.none")}</h1>
			{canRun && (
				<>
					<button type="button" class="button primary" data-test="quick-shell" onClick={() => shell(quick)}>
						{t("start.shell", { image: usual })}
					</button>
					{images.length > 0 && (
						<>
							<p>{t("start.images")}</p>
							<div class="start-images">
								{images.slice(0, 12).map((image) => (
									<button key={image} type="button" class="button mono" title={image} onClick={() => shell(image)}>{shortImage(image)}</button>
								))}
							</div>
						</>
					)}
				</>
			)}
			<button type="button" class="link-button" onClick={() => open.set({ dialog: "new" })}>{t("start.more")}</button>
		</div>
	);
}

/** The names of images, as one may type them. */
export function tagsOf(all: { RepoTags: string[] | null }[]): string[] {
	return all.flatMap((i) => i.RepoTags ?? []).filter((tag) => tag !== "<none>:<none>").sort();
}
