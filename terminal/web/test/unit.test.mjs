// What needs no browser.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const src = path.join(path.dirname(fileURLToPath(import.meta.url)), "../src");
const dir = await mkdtemp(path.join(tmpdir(), "moorgate-web-"));
after(() => rm(dir, { recursive: true }));

const modules = ["terminal/frames", "terminal/answers", "terminal/osc52", "terminal/line", "terminal/status", "data/engine", "views/ansi", "views/figures", "playback/cast", "parts/command", "text/en", "text/zh"];
await build({
	stdin: { contents: modules.map((m) => `export * from "./${m}";`).join("\n"), resolveDir: src, loader: "ts" },
	bundle: true,
	format: "esm",
	platform: "node",
	outfile: path.join(dir, "all.mjs"),
	logLevel: "error",
});
const web = await import(pathToFileURL(path.join(dir, "all.mjs")).href);

const bytes = (...list) => Uint8Array.from(list).buffer;
const framed = (type, text) => Uint8Array.from([type, ...new TextEncoder().encode(text)]).buffer;

test("frames of the server are read", () => {
	assert.deepEqual(web.decode(bytes(1, 0, 0, 0, 1, 0, 0, 0, 2, 65, 66)), { type: "output", stream: "stdout", offset: 2 ** 32 + 2, data: Uint8Array.of(65, 66) });
	assert.equal(web.decode(bytes(2, 0, 0, 0, 0, 0, 0, 0, 0, 65)).stream, "stderr");
	assert.deepEqual(web.decode(bytes(3, 0, 80, 0, 24)), { type: "resize", cols: 80, rows: 24 });
	assert.deepEqual(web.decode(bytes(3, 0xff, 0xff, 0, 0)), { type: "resize", cols: 1000, rows: 1 });
	assert.equal(web.decode(framed(0x14, '{"code":3,"reason":"exited"}')).exit.code, 3);
	assert.equal(web.decode(framed(0x15, '{"code":"x","message":"m","fatal":true}')).fault.fatal, true);
	assert.equal(web.decode(bytes(0x77, 1, 2)), null, "unknown types are ignored");
});

test("frames to the server are written", () => {
	assert.deepEqual([...web.resize(300, 5)], [3, 1, 44, 0, 5]);
	assert.deepEqual([...web.resize(-4, 1e9)], [3, 0, 1, 3, 232]);
	assert.deepEqual([...web.ack(2 ** 33 + 1)], [0x10, 0, 0, 0, 2, 0, 0, 0, 1]);
	assert.equal(Buffer.from(web.hello(-1, 80, 24)).toString(), '\x11{"resume_from":-1,"cols":80,"rows":24}');
	assert.equal(Buffer.from(web.hello(7, 0, 0)).toString(), '\x11{"resume_from":7,"cols":0,"rows":0}');
	assert.deepEqual(web.subprotocols("abc_-"), ["moorgate.terminal.v1", "ticket.abc_-"]);
});

test("a paste is cut into frames of 64 KiB that hold it whole", () => {
	const paste = new TextEncoder().encode("汉字😀x".repeat(20_000));
	const frames = web.stdin(paste);
	assert.ok(frames.every((f) => f[0] === 0 && f.length <= 65536 + 1));
	assert.deepEqual(Buffer.concat(frames.map((f) => f.subarray(1))), Buffer.from(paste));
	assert.deepEqual(web.stdin(new Uint8Array()), []);
});

test("what the terminal answers by itself is known from what is typed", () => {
	for (const a of ["\x1b[1;1R", "\x1b[?1;2c", "\x1b[>0;276;0c", "\x1b[0n", "\x1b[?2004;1$y", "\x1b[8;24;80t", "\x1bP1$r0m\x1b\\", "\x1bP>|xterm.js(6.0.0)\x1b\\", "\x1b]11;rgb:ff/ff/ff\x1b\\"]) {
		assert.ok(web.isAnswer(a), JSON.stringify(a));
	}
	for (const k of ["a", "\x1b", "\x1b[A", "\x1bOP", "\x1b[15~", "\x1b[1;5D", "\r", "ls -l\r", "\x1b[200~[c\x1b[201~", "\x1b[<0;10;10M", "\x1b[I"]) {
		assert.ok(!web.isAnswer(k), JSON.stringify(k));
	}
});

test("OSC 52 writes text and reads nothing", () => {
	const b64 = (s) => Buffer.from(s).toString("base64");
	assert.equal(web.clipboardText("c;" + b64("héllo 你好")), "héllo 你好");
	assert.equal(web.clipboardText(";" + b64("x")), "x");
	assert.equal(web.clipboardText("c;?"), null);
	assert.equal(web.clipboardText("c;"), null);
	assert.equal(web.clipboardText("no"), null);
	assert.equal(web.clipboardText("c;" + Buffer.from([0xff, 0xfe]).toString("base64")), null, "no UTF-8");
	assert.equal(web.clipboardText("c;" + b64("x".repeat(web.maxClipboard + 8))), null, "too much");
});

test("without a TTY, lines are edited here", () => {
	let echo = "";
	const sent = [];
	const line = new web.LineEditor({ echo: (t) => (echo += t), send: (t) => sent.push(t), eof: () => sent.push("EOF"), signal: (s) => sent.push(s) });
	line.type("lx\x7fs 你\x7f-l\r");
	assert.deepEqual(sent, ["ls -l\n"]);
	assert.equal(echo, "lx\b \bs 你\b\b  \b\b-l\r\n");
	line.type("\x1b[A");
	line.type("half\x15whole\x04\x04\x03");
	line.type("\x1b[200~a\r\nb\x1b[201~");
	assert.deepEqual(sent.slice(1), ["whole", "EOF", "INT", "a\n"]);
});

test("titles are text and nothing else", () => {
	assert.equal(web.cleanTitle("\u202eroot\x07\x1b[31m vim "), "root[31m vim");
	assert.equal(web.cleanTitle("x".repeat(500)).length, 120);
});

test("a pull's lines become layers with bars", () => {
	let s = web.initialStatus("owner");
	const take = (n) => (s = { ...s, ...web.noticed(s, { kind: "pull", ...n }) });
	take({ status: "Pulling from library/x" });
	take({ id: "1.36", status: "Pulling from library/busybox" });
	take({ id: "0123456789ab", status: "Downloading", current: 5, total: 10 });
	take({ id: "ba9876543210", status: "Already exists" });
	assert.equal(s.pulling, true);
	assert.deepEqual(s.layers.map((l) => [l.current, l.total, l.done]), [[5, 10, false], [0, 0, true]]);
	take({ id: "0123456789ab", status: "Pull complete" });
	assert.deepEqual(s.layers[0], { id: "0123456789ab", status: "Pull complete", current: 10, total: 10, done: true });
	take({ status: "Status: Downloaded newer image for x" });
	assert.equal(s.pulling, false);
});

test("viewers come and go", () => {
	let s = web.initialStatus("owner");
	const take = (n) => (s = { ...s, ...web.noticed(s, n) });
	take({ kind: "viewer_joined", attachment: "a", user: "bob", role: "viewer" });
	take({ kind: "viewer_joined", attachment: "a", user: "bob", role: "viewer" });
	take({ kind: "viewer_joined", attachment: "b", user: "eve", role: "writer" });
	take({ kind: "viewer_left", attachment: "a" });
	assert.deepEqual(s.viewers, [{ attachment: "b", user: "eve", role: "writer" }]);
});

test("the Engine's streams are cut wherever they are torn", () => {
	const chunk = (stream, text) => [stream, 0, 0, 0, 0, 0, 0, Buffer.byteLength(text), ...Buffer.from(text)];
	const all = Uint8Array.from([...chunk(1, "t1 出ut\n"), ...chunk(2, "t2 err\nt3 ha"), ...chunk(2, "lf\r\n")]);
	for (let size = 1; size <= all.length; size++) {
		const demux = new web.Demultiplexer();
		const lines = new web.LogReader();
		const got = [];
		for (let at = 0; at < all.length; at += size) {
			for (const [stream, data] of demux.take(all.subarray(at, at + size))) got.push(...lines.take(data, stream === 2));
		}
		assert.deepEqual(got, [{ time: "t1", text: "出ut", stderr: false }, { time: "t2", text: "err", stderr: true }, { time: "t3", text: "half", stderr: true }], `pieces of ${size}`);
	}
});

test("log lines have colours and no other escapes", () => {
	const line = "a\x1b[1;31mred\x1b[0m\x1b]0;title\x07\x1b[2Jb\x1b[38;5;200mc\x1b[38;2;1;2;3md\x1b[38;5;2me\x08";
	assert.deepEqual(web.pieces(line).map((p) => [p.text, p.color, p.bold]), [["a", "", false], ["red", "red", true], ["b", "", false], ["c", "", false], ["d", "", false], ["e", "green", false]]);
	assert.equal(web.plainText(line), "aredbcde");
	assert.equal(web.plainText("x\x1b]52;c;aGk=\x1b\\y\x1bPq\x1b\\z"), "xyz");
});

test("figures are what docker stats shows", () => {
	const raw = (s, cpu, system, rx) => ({
		read: new Date(s * 1000).toISOString(),
		cpu_stats: { cpu_usage: { total_usage: cpu }, system_cpu_usage: system, online_cpus: 4 },
		precpu_stats: { cpu_usage: { total_usage: cpu - 50 }, system_cpu_usage: system - 400 },
		memory_stats: { usage: 1000, limit: 4000, stats: { inactive_file: 300 } },
		networks: { eth0: { rx_bytes: rx, tx_bytes: 0 }, eth1: { rx_bytes: 5, tx_bytes: 0 } },
	});
	const meter = new web.Meter();
	assert.equal(meter.take(raw(1, 100, 1000, 10)).received, 0, "no rate of one sample");
	const s = meter.take(raw(3, 200, 2000, 210));
	assert.deepEqual([s.cpu, s.memory, s.memoryLimit, s.received], [50, 700, 4000, 100]);
	assert.equal(new web.Meter().take({ ...raw(1, 100, 1000, 0), precpu_stats: {} }).cpu, 0);
});

test("recordings are read, also those that a crash cut off", () => {
	const cast = web.parseCast('{"version":2,"width":100,"height":30}\n[0.5,"o","a"]\n[1,"i","x"]\n[2,"r","120x40"]\n[3.5,"o","b"]\n[4,"o","ne');
	assert.deepEqual([cast.cols, cast.rows, cast.seconds], [100, 30, 3.5]);
	assert.deepEqual(cast.events.map((e) => e.kind), ["o", "r", "o"]);
	assert.deepEqual(web.sizeOf("120x40"), [120, 40]);
	assert.equal(web.sizeOf("99999x1"), null);
	assert.throws(() => web.parseCast('{"version":3}'), /version 3/);
	assert.throws(() => web.parseCast("<html>"), /no asciicast/);
});

test("command lines become words as in a shell", () => {
	const cases = [
		["ls -l", ["ls", "-l"]],
		["  ", []],
		[`sh -c 'echo "a b"'`, ["sh", "-c", 'echo "a b"']],
		[`a"b c"d '' "\\"x\\n"`, ["ab cd", "", '"x\\n']],
		["a\\ b $HOME", ["a b", "$HOME"]],
	];
	for (const [line, words] of cases) assert.deepEqual(web.splitWords(line), words, line);
	assert.throws(() => web.splitWords("echo 'x"));
	assert.deepEqual(web.splitWords(web.joinWords(["sh", "-c", "it's $x", ""])), ["sh", "-c", "it's $x", ""]);
});

test("images are written shortly", () => {
	assert.equal(web.shortImage("docker.io/library/nginx:1"), "nginx:1");
	assert.equal(web.shortImage("sha256:" + "ab".repeat(32)), "abababababab");
	assert.equal(web.shortImage("ghcr.io/a/b@sha256:" + "cd".repeat(32)), "ghcr.io/a/b@cdcdcdcd");
});

test("both languages are complete, and name the same values", () => {
	assert.deepEqual(Object.keys(web.zh).sort(), Object.keys(web.en).sort());
	const values = (s) => (s.match(/\{\w+\}/g) ?? []).sort();
	for (const [key, text] of Object.entries(web.en)) {
		assert.ok(web.zh[key].length > 0 && text.length > 0, key);
		assert.deepEqual(values(web.zh[key]), values(text), key);
		assert.ok(!text.includes("!"), `${key} shouts`);
	}
});
