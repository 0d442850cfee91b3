// What the build makes of the sources.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const dir = mkdtempSync(path.join(tmpdir(), "moorgate-web-"));
after(() => rmSync(dir, { recursive: true }));

const filesOf = (at) =>
	Object.fromEntries(
		readdirSync(at, { recursive: true, withFileTypes: true })
			.filter((e) => e.isFile() && e.name !== ".gitkeep")
			.map((e) => path.relative(at, path.join(e.parentPath ?? e.path, e.name)))
			.sort()
			.map((name) => [name, readFileSync(path.join(at, name))]),
	);

// The same sources at another place, as anyone else's clone is.
const elsewhere = path.join(dir, "some/where/else");
for (const name of ["src", "build.mjs", "package.json", "tsconfig.json"]) cpSync(path.join(root, name), path.join(elsewhere, name), { recursive: true });
for (const name of ["@xterm", "preact"]) cpSync(path.join(root, "node_modules", name), path.join(elsewhere, "node_modules", name), { recursive: true });
for (const name of ["esbuild", "@esbuild"]) symlinkSync(path.join(root, "node_modules", name), path.join(elsewhere, "node_modules", name));
execFileSync(process.execPath, ["build.mjs"], { cwd: elsewhere, stdio: "inherit" });
const built = filesOf(path.join(elsewhere, "dist"));
const page = built["index.html"].toString();
const scripts = Object.keys(built).filter((name) => name.endsWith(".js"));

test("the same sources give the same bytes anywhere", () => {
	execFileSync(process.execPath, ["build.mjs", "--out", path.join(dir, "again")], { cwd: root, stdio: "inherit" });
	const again = filesOf(path.join(dir, "again"));
	assert.deepEqual(Object.keys(again), Object.keys(built));
	for (const [name, data] of Object.entries(built)) assert.ok(data.equals(again[name]), name);
});

test("the first paint takes at most 110 kB, compressed", (t) => {
	const named = [...page.matchAll(/(?:href|src)="\.\/(assets\/[^"]+)"/g)].map((m) => m[1]);
	const size = ["index.html", ...named].reduce((n, name) => n + gzipSync(built[name]).length, 0);
	t.diagnostic(`first paint: ${(size / 1000).toFixed(1)} kB`);
	assert.ok(size <= 110_000, `${size} bytes`);
	// Nothing that the first scripts import is missing from the count.
	for (const name of named.filter((n) => n.endsWith(".js"))) {
		for (const [, , dep] of built[name].toString().matchAll(/(?:^|[;}])(import|export)(?:[^"'();]*from)?"\.\/([^"]+)"/g)) {
			assert.ok(named.includes("assets/" + dep), `${name} imports ${dep}`);
		}
	}
});

test("the page works with a content policy that has no inline scripts and no eval", () => {
	assert.ok(![...page.matchAll(/<script([^>]*)>/g)].some((m) => !m[1].includes("src=")));
	assert.ok(!/\son\w+=/.test(page.replace(/data:[^"]*/g, "")), "no handlers in the page");
	for (const name of scripts) assert.ok(!/\beval\(|new Function\(/.test(built[name].toString()), name);
});

test("all addresses are relative, so that the page works below a prefix", () => {
	assert.ok(!/(?:href|src)="(?:\/|https?:)/.test(page));
	for (const name of scripts) assert.ok(!/(?:fetch|import|WebSocket)\("\//.test(built[name].toString()), name);
});

test("the terminal can be embedded elsewhere: it imports nothing of the page", () => {
	const terminal = path.join(root, "src/terminal");
	for (const name of readdirSync(terminal)) {
		const source = readFileSync(path.join(terminal, name), "utf8");
		for (const [, from] of source.matchAll(/(?:from|import)\s*\(?"([^"]+)"/g)) assert.match(from, /^(?:\.\/[a-z0-9]+|@xterm\/.*)$/, `${name} imports ${from}`);
	}
});

test("what is installed is locked by its hash, and by no address", () => {
	const { packages } = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8"));
	for (const [name, p] of Object.entries(packages)) {
		assert.equal(p.resolved, undefined, name);
		if (name) assert.match(p.integrity ?? "", /^sha512-/, name);
	}
});

test("licenses of all that is bundled are there", () => {
	const text = built["assets/licenses.txt"].toString();
	for (const name of ["preact", "@xterm/xterm", "@xterm/addon-fit", "@xterm/addon-webgl"]) assert.ok(text.includes(name + " "), name);
});
