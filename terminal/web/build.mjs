// Builds dist/ from src/: `node build.mjs [--out DIR]`. The same sources and
// lock file give the same bytes wherever they stand.
import { build } from "esbuild";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(fileURLToPath(import.meta.url));
const flag = process.argv.indexOf("--out");
const out = path.resolve(flag < 0 ? path.join(root, "dist") : process.argv[flag + 1]);

const { metafile, outputFiles } = await build({
	write: false,
	absWorkingDir: root,
	entryPoints: { app: "src/main.tsx", style: "src/style/index.css" },
	outdir: path.join(out, "assets"),
	entryNames: "[name]-[hash]",
	chunkNames: "[name]-[hash]",
	assetNames: "[name]-[hash]",
	bundle: true,
	splitting: true,
	format: "esm",
	target: ["chrome123", "firefox120", "safari17.5"], // light-dark() in the styles
	jsx: "automatic",
	jsxImportSource: "preact",
	minify: true,
	charset: "utf8",
	legalComments: "none", // licenses.txt has them whole
	metafile: true,
	logLevel: "warning",
});

const outputs = Object.entries(metafile.outputs).map(([file, info]) => ({
	...info,
	path: path.relative(out, path.resolve(root, file)),
	name: path.resolve(root, file),
}));
const entry = (source) => outputs.find((o) => o.entryPoint === source);
const script = entry("src/main.tsx");
const style = entry("src/style/index.css");

// What the first paint needs is fetched at once, not import by import.
const first = new Set();
const follow = (output) => {
	for (const dep of output.imports) {
		if (dep.kind !== "import-statement") continue;
		const chunk = outputs.find((o) => o.name === path.resolve(root, dep.path));
		if (!first.has(chunk)) {
			first.add(chunk);
			follow(chunk);
		}
	}
};
follow(script);

const page = (await readFile(path.join(root, "src/index.html"), "utf8"))
	.replace("{{style}}", `./${style.path}`)
	.replace("{{script}}", `./${script.path}`)
	.replace("{{preload}}", [...first].map((c) => `<link rel="modulepreload" href="./${c.path}">`).sort().join("\n"));

// The licenses of all that is in the bundle travel with it.
const packages = new Set();
for (const input of Object.keys(metafile.inputs)) {
	const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
	if (found) packages.add(found[1]);
}
let licenses = "";
for (const name of [...packages].sort()) {
	const dir = path.join(root, "node_modules", name);
	const { version, license } = JSON.parse(await readFile(path.join(dir, "package.json"), "utf8"));
	const text = (await readFile(path.join(dir, "LICENSE"), "utf8")).trim();
	licenses += `${name} ${version} (${license})\n\n${text}\n\n\n`;
}

// What is new comes first and what is old goes last: at no moment is a file
// missing that the page names, as go build may look at any.
const files = new Map(outputFiles.map((f) => [path.relative(out, f.path), Buffer.from(f.contents)]));
files.set("assets/licenses.txt", Buffer.from(licenses));
files.set("index.html", Buffer.from(page));
await mkdir(path.join(out, "assets"), { recursive: true });
for (const [name, data] of files) {
	const file = path.join(out, name);
	const there = await readFile(file).catch(() => null);
	if (!there?.equals(data)) await writeFile(file, data);
}
for (const dir of [".", "assets"]) {
	for (const name of await readdir(path.join(out, dir))) {
		const file = path.normalize(path.join(dir, name));
		if (name !== ".gitkeep" && file !== "assets" && !files.has(file)) await rm(path.join(out, file), { recursive: true });
	}
}
