// Screenshots of every view, for eyes: node test/shots.mjs DIR [NAME...]
import { mkdir } from "node:fs/promises";
import { chromium } from "playwright-core";
import { Mock } from "./mock.mjs";
import { Shell } from "./shell.mjs";

const [dir, ...only] = process.argv.slice(2);
await mkdir(dir, { recursive: true });

const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

const hook = (name) => `[data-test="${name}"]`;

const shell = async (page) => {
	await page.click(hook("open-shell"));
	await page.waitForSelector('[data-phase="live"]');
	await page.waitForTimeout(150);
};

const type = async (page, text) => {
	await page.keyboard.type(text);
	await page.waitForTimeout(150);
};

const drawer = async (page, phone) => {
	if (!phone) return;
	await page.click(hook("drawer"));
	await page.waitForTimeout(200);
};

const openNew = async (page) => {
	await page.click(hook("new-tab"));
	await page.waitForSelector(hook("new-dialog"));
};

const others = (mock) => {
	const spec = (container, cmd) => ({ mode: "exec", container, cmd });
	for (const [user, name, cmd] of [["bob", "api", ["vim", "main.go"]], ["carol", "postgres", ["psql"]], ["alice", "worker", ["bash"]]]) {
		const s = new Shell(`x-${user}`, user, spec(name, cmd), mock);
		if (user === "bob") s.invited = "alice";
		mock.sessions.set(s.id, s);
	}
};

/** Each view: how the server is before, and what is done to get there. */
const views = {
	login: { before: (m) => (m.me = null) },
	"login-refused": {
		before: (m) => (m.me = null),
		act: async (page) => {
			await page.fill("[name=user]", "alice");
			await page.fill("[name=password]", "wrong");
			await page.click(hook("sign-in"));
			await page.waitForSelector(hook("problem"));
		},
	},
	"login-away": { before: (m) => (m.refuse["GET /api/me"] = { status: 502, message: "moorgate: the Engine local does not answer" }) },
	first: {},
	empty: { before: (m) => ((m.containers = []), (m.recordings = [])) },
	lists: { before: others, act: (page, m, phone) => drawer(page, phone) },
	"lists-failed": {
		before: (m) => {
			m.refuse["GET /v1.41/containers/json"] = { status: 502, message: "moorgate: the Engine local does not answer: dial unix /var/run/docker.sock: no such file" };
			m.refuse["GET /api/terminal/recordings"] = { status: 403, message: "moorgate: alice may not terminal.record" };
		},
		act: (page, m, phone) => drawer(page, phone),
	},
	"lists-stale": {
		before: others,
		act: async (page, m, phone) => {
			await drawer(page, phone);
			await page.waitForSelector(hook("container"));
			m.refuse["GET /.*(containers/json|terminal/sessions)"] = { status: 502, message: "moorgate: the Engine local does not answer: dial unix /var/run/docker.sock: no such file" };
			await page.waitForSelector(`${hook("containers")} ${hook("problem")}`);
		},
	},
	terminal: {
		act: async (page) => {
			await shell(page);
			await type(page, "ls\r");
			await type(page, "echo 你好，世界 😀 👩‍💻 https://example.org/a?b=c\r");
		},
	},
	refused: {
		before: (m) => (m.refuse["POST /api/terminal/sessions"] = { status: 403, message: "moorgate: alice may not exec.create (role developer, rules[0] no-root-exec): exec as yourself: docker exec -u 1000" }),
		act: async (page) => {
			await page.click(hook("open-shell"));
			await page.waitForSelector(hook("problem"));
		},
	},
	reconnecting: {
		act: async (page, m) => {
			await shell(page);
			await type(page, "ls\r");
			m.online = false;
			m.cut();
			await page.waitForTimeout(2500);
		},
	},
	ended: {
		act: async (page) => {
			await shell(page);
			await type(page, "ls\rexit 3\r");
			await page.waitForSelector(hook("ended"));
		},
	},
	"ended-admin": {
		act: async (page, m) => {
			await shell(page);
			[...m.sessions.values()].at(-1).end({ code: null, reason: "admin", by: "root", message: "the machine restarts at noon", survived: "a process that left the session goes on: pid 4711" });
			await page.waitForSelector(hook("ended"));
		},
	},
	notes: {
		act: async (page, m) => {
			await shell(page);
			const s = [...m.sessions.values()].at(-1);
			s.notice({ kind: "viewer_joined", attachment: "v1", user: "bob", role: "viewer" });
			s.notice({ kind: "viewer_joined", attachment: "v2", user: "carol", role: "writer" });
			s.notice({ kind: "recording", on: true });
			s.notice({ kind: "message", user: "root", text: "please save your work: the machine restarts at noon" });
			await page.waitForTimeout(200);
		},
	},
	find: {
		act: async (page) => {
			await shell(page);
			await type(page, "flood 20\r");
			await page.keyboard.press("Control+Shift+F");
			await page.fill(hook("find"), "line 1");
			await page.waitForTimeout(500);
		},
	},
	split: {
		act: async (page) => {
			await shell(page);
			await type(page, "ls\r");
			await page.keyboard.press("Control+Shift+D");
			await page.waitForTimeout(800);
			await type(page, "echo beside\r");
		},
	},
	logs: {
		act: async (page) => {
			await page.click(hook("view-logs"));
			await page.waitForSelector(".log");
			await page.waitForTimeout(300);
		},
	},
	"logs-search": {
		act: async (page) => {
			await page.click(hook("view-logs"));
			await page.waitForSelector(".log");
			await page.click(hook("logs-times"));
			await page.fill(hook("logs-search"), "404");
			await page.waitForTimeout(300);
		},
	},
	stats: {
		act: async (page) => {
			await page.click(hook("view-stats"));
			await page.waitForSelector(hook("stats"));
			await page.waitForTimeout(1200);
		},
	},
	inspect: {
		act: async (page) => {
			await page.click(hook("view-inspect"));
			await page.waitForSelector(hook("inspect"));
		},
	},
	new: {
		act: async (page) => {
			await openNew(page);
			await page.waitForTimeout(200);
		},
	},
	"new-image": {
		act: async (page) => {
			await openNew(page);
			await page.click(hook("mode-run"));
			await page.click(hook("image"));
			await page.waitForTimeout(300);
		},
	},
	pull: {
		before: (m) => (m.pull = "stuck"),
		act: async (page) => {
			await openNew(page);
			await page.click(hook("mode-run"));
			await page.fill(hook("image"), "python:3.14");
			await page.keyboard.press("Enter");
			await page.waitForSelector(hook("pull"));
			await page.waitForTimeout(1300);
		},
	},
	closing: {
		act: async (page) => {
			await shell(page);
			await page.click(hook("close-tab"));
			await page.waitForSelector(hook("close-dialog"));
		},
	},
	share: {
		act: async (page) => {
			await shell(page);
			await page.click(hook("share"));
			await page.fill(hook("share-user"), "bob");
			await page.click(hook("invite"));
			await page.waitForSelector(hook("share-done"));
		},
	},
	watching: {
		before: others,
		act: async (page, m, phone) => {
			m.sessions.get("x-bob").write("\x1b[2J\x1b[Hbob types here, \x1b[7mand alice watches\x1b[0m\r\n".padEnd(90, "."));
			await drawer(page, phone);
			await page.click('[data-test="session"]:has-text("of bob")');
			await page.waitForSelector(hook("watching"));
			await page.waitForTimeout(300);
		},
	},
	recording: {
		act: async (page, m, phone) => {
			await drawer(page, phone);
			await page.click(hook("recording"));
			await page.waitForSelector(hook("player"));
			await page.waitForTimeout(2500);
		},
	},
	admin: {
		before: others,
		act: async (page, m, phone) => {
			await drawer(page, phone);
			await page.click(hook("admin"));
			await page.waitForSelector(hook("admin-sessions"));
		},
	},
	"admin-denied": {
		act: async (page, m, phone) => {
			await drawer(page, phone);
			await page.click(hook("admin"));
			await page.click(hook("view-denied"));
			await page.waitForSelector(hook("admin-denied"));
		},
	},
	"admin-end": {
		before: others,
		act: async (page, m, phone) => {
			await drawer(page, phone);
			await page.click(hook("admin"));
			await page.click(hook("end"));
			await page.waitForTimeout(200);
		},
	},
	keys: {
		act: async (page) => {
			await page.locator("body").press("?");
			await page.waitForSelector(hook("keys-dialog"));
		},
	},
	settings: {
		act: async (page, m, phone) => {
			await drawer(page, phone);
			await page.click(hook("settings"));
		},
	},
	chinese: { lang: "zh-CN", before: others, act: (page, m, phone) => drawer(page, phone) },
	"chinese-new": { lang: "zh-CN", act: openNew },
};

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
for (const [name, view] of Object.entries(views)) {
	if (only.length > 0 && !only.includes(name)) continue;
	for (const [size, viewport] of Object.entries(sizes)) {
		for (const colorScheme of ["light", "dark"]) {
			const mock = new Mock();
			view.before?.(mock);
			await mock.listen();
			const phone = size === "phone";
			const context = await browser.newContext({ viewport, colorScheme, locale: view.lang ?? "en-US", hasTouch: phone, isMobile: phone });
			const page = await context.newPage();
			page.on("console", (m) => ["error", "warning"].includes(m.type()) && console.log(name, size, m.text()));
			page.on("pageerror", (err) => console.log(name, size, String(err)));
			try {
				await page.goto(mock.url);
				await page.waitForTimeout(300);
				await view.act?.(page, mock, phone);
			} catch (err) {
				console.log(name, size, String(err).split("\n")[0]);
			}
			await page.screenshot({ path: `${dir}/${name}-${size}-${colorScheme}.png` });
			await context.close();
			mock.close();
		}
	}
}
await browser.close();
