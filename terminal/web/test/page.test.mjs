// The page in a real Chromium, against the made-up server.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Mock } from "./mock.mjs";
import { Shell } from "./shell.mjs";

const patience = 20_000;
const hook = (name) => `[data-test="${name}"]`;

let browser;
before(async () => {
	browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
});
after(() => browser.close());

/** Opens the page of a server; whatever the browser complains of fails the test. */
async function open(t, { prefix = "/", setup = () => {}, hash = "", expect = /status of (40[0-9]|502)|ERR_EMPTY_RESPONSE|WebSocket/, ...options } = {}) {
	const mock = new Mock(prefix);
	setup(mock);
	await mock.listen();
	const context = await browser.newContext({ viewport: { width: 1000, height: 700 }, permissions: ["clipboard-read", "clipboard-write"], ...options });
	const page = await context.newPage();
	page.setDefaultTimeout(patience);
	const complaints = [];
	// Interfaces that come and go, as a container's, make Chromium give up what it loads: not the page's fault.
	const machine = /net::ERR_NETWORK_CHANGED/;
	page.on("console", (m) => m.type() === "error" && !expect.test(m.text()) && !machine.test(m.text()) && complaints.push(m.text()));
	page.on("pageerror", (err) => complaints.push(String(err)));
	t.after(async () => {
		await context.close();
		mock.close();
		assert.deepEqual(complaints, []);
	});
	await page.goto(mock.url + hash);
	return { mock, page };
}

const session = (mock) => [...mock.sessions.values()].at(-1);

async function shell(page) {
	await page.click(hook("open-shell"));
	await page.waitForSelector('[data-phase="live"]');
}

/** The text of the terminal that is shown. */
const screen = (page) => page.evaluate(() => [...document.querySelectorAll(".terminal")].find((e) => e.offsetParent)?.terminal.text() ?? "");

async function until(what, condition) {
	for (const end = Date.now() + patience; Date.now() < end; await new Promise((r) => setTimeout(r, 30))) {
		if (await condition()) return;
	}
	assert.fail(`waited for ${what}`);
}

const shows = (page, text) => until(`${JSON.stringify(text)} on the screen`, async () => (await screen(page)).includes(text)).catch(async (err) => {
	throw new Error(`${err.message}; there is:\n${await screen(page)}`);
});

test("log in, wrong and right", async (t) => {
	const { page, mock } = await open(t, { setup: (m) => (m.me = null) });
	await page.fill("[name=user]", "alice");
	await page.fill("[name=password]", "wrong");
	await page.click(hook("sign-in"));
	await page.waitForSelector('[data-test="problem"]:has-text("user or password is wrong")');
	await page.fill("[name=password]", "right");
	await page.keyboard.press("Enter");
	await page.waitForSelector(hook("containers"));
	assert.equal(await page.textContent(hook("user")), "aalice");
	assert.equal(mock.seen.filter((s) => s.route === "POST /login").length, 2);
});

test("a terminal does not stay open behind the login, for whoever comes next", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	await page.keyboard.type("echo back\r");
	await shows(page, "back");
	const left = async () => {
		mock.me = null; // signed out in another tab
		await page.waitForSelector("[name=user]");
		await until("the terminal to be left", () => mock.sockets.size === 0);
	};
	const enter = async (user) => {
		await page.fill("[name=user]", user);
		await page.fill("[name=password]", "right");
		await page.keyboard.press("Enter");
		await page.waitForSelector(hook("containers"));
	};
	await left();
	await enter("alice");
	await shows(page, "back"); // the same session, resumed
	await left();
	await enter("bob");
	await page.waitForTimeout(500);
	assert.equal(mock.sockets.size, 0);
	assert.equal(await page.locator(".xterm").count(), 0);
});

test("a link logs in once, and leaves the address", async (t) => {
	const { page } = await open(t, { setup: (m) => (m.me = null), hash: "#code=once" });
	await page.waitForSelector(hook("containers"));
	assert.ok(!page.url().includes("once"));
});

test("a link that is used up says so", async (t) => {
	const { page } = await open(t, { setup: (m) => (m.me = null), hash: "#code=twice" });
	await page.waitForSelector(hook("problem"));
});

test("one Enter opens a shell that types", async (t) => {
	const { page, mock } = await open(t);
	await page.waitForFunction(() => document.activeElement?.dataset.test === "open-shell");
	await page.keyboard.press("Enter");
	await page.waitForSelector('[data-phase="live"]');
	await page.keyboard.type("echo héllo 你好 😀\r");
	await shows(page, "\nhéllo 你好 😀");
	const sent = JSON.parse(mock.seen.find((s) => s.route === "POST /api/terminal/sessions").body);
	assert.deepEqual([sent.mode, sent.container], ["exec", mock.containers[0].Id]);
	assert.ok(sent.cols > 60 && sent.rows > 20, "the size is known before the shell starts");
	const { hellos } = session(mock);
	assert.equal(hellos.length, 1);
	assert.equal(hellos[0].resume_from, -1);
	assert.ok(Math.abs(hellos[0].cols - sent.cols) <= 3 && Math.abs(hellos[0].rows - sent.rows) <= 12);
});

test("below a path prefix everything works", async (t) => {
	const { page } = await open(t, { prefix: "/box/moorgate/" });
	await shell(page);
	await page.keyboard.type("echo prefixed\r");
	await shows(page, "\nprefixed");
});

test("a refused open says why, with the request's id", async (t) => {
	const refusal = { status: 403, message: "moorgate: alice may not exec.create (role developer, rules[0]): exec as yourself" };
	const { page, mock } = await open(t, { setup: (m) => (m.refuse["POST /api/terminal/sessions"] = refusal) });
	await page.click(hook("open-shell"));
	await page.waitForSelector(hook("problem"));
	const text = await page.textContent(hook("problem"));
	assert.ok(text.includes(refusal.message) && /mock-\d+/.test(text), text);
	delete mock.refuse["POST /api/terminal/sessions"];
	await page.click("text=Try again");
	await page.waitForSelector('[data-phase="live"]');
});

test("a pull that fails says why, and what to do", async (t) => {
	const refusal = { status: 502, message: "pulling nowhere.invalid/x: lookup nowhere.invalid: no such host", hint: "see that the image's name is right" };
	const { page } = await open(t, { setup: (m) => (m.refuse["POST /api/terminal/sessions"] = refusal) });
	await page.click(hook("open-shell"));
	const text = await page.textContent(hook("problem"));
	assert.ok(text.includes(refusal.message) && text.includes(refusal.hint), text);
});

test("a list stays while it cannot be asked for again", async (t) => {
	const { page, mock } = await open(t);
	await page.waitForSelector(hook("container"));
	const rows = () => page.locator(`${hook("containers")} ${hook("container")}`).count();
	const before = await rows();
	const asked = "GET .*/containers/json.*";
	mock.refuse[asked] = { status: 502, message: "moorgate: the Engine cannot be reached" };
	const problem = page.locator(`${hook("containers")} ${hook("problem")}`);
	await problem.waitFor();
	assert.match(await problem.textContent(), /could not be listed.*how it was last.*cannot be reached/);
	assert.equal(await rows(), before);
	delete mock.refuse[asked];
	await problem.getByRole("button").last().click();
	await problem.waitFor({ state: "detached" });
	assert.equal(await rows(), before);
	mock.refuse[asked] = { status: 403, message: "moorgate: alice may not container.list" };
	await problem.waitFor();
	assert.equal(await rows(), 0, "what may not be seen any more is not shown");
});

test("the row of what is shown gives the keyboard to its terminal", async (t) => {
	const { page } = await open(t);
	const row = page.locator(hook("container")).first();
	await page.waitForSelector(hook("open-shell"));
	await row.click();
	await page.waitForFunction(() => document.activeElement?.dataset.test === "open-shell");
	await shell(page);
	await row.click();
	await page.waitForFunction(() => document.activeElement?.closest(".terminal"));
	await page.keyboard.type("echo by row\r");
	await shows(page, "\nby row");
});

test("a cut network resumes by offset, with the screen kept", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	await page.keyboard.type("echo before\r");
	await shows(page, "\nbefore");
	const s = session(mock);
	mock.online = false;
	const seen = s.output.length;
	mock.cut();
	await page.waitForSelector(hook("reconnecting"));
	assert.ok((await screen(page)).includes("\nbefore"), "the screen stays");
	s.write("while away\r\n");
	mock.online = true;
	await page.click('[data-test="reconnecting"] >> text=Now').catch(() => {});
	await shows(page, "while away");
	await page.waitForSelector('[data-phase="live"]');
	assert.equal(s.hellos.at(-1).resume_from, seen);
	assert.equal((await screen(page)).split("while away").length, 2, "nothing twice");
	await page.keyboard.type("echo after\r");
	await shows(page, "\nafter");
});

test("what is typed while the network is away arrives in order", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	const s = session(mock);
	s.late = 600;
	mock.cut();
	await page.waitForSelector('[data-phase="reconnecting"]');
	await page.keyboard.type("abcdefghijklmnopqrstuvwxyz", { delay: 40 });
	await until("all of it", () => s.input.toString() === "abcdefghijklmnopqrstuvwxyz").catch((err) => assert.fail(`${err.message}: ${s.input}`));
});

test("a reload comes back to the same terminal", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	await page.keyboard.type("echo kept\r");
	await shows(page, "\nkept");
	await page.reload();
	await shows(page, "\nkept");
	assert.equal(mock.sessions.size, 1);
});

test("replays are not answered, live questions are", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	const s = session(mock);
	await page.keyboard.type("ask\r");
	await until("two answers", () => /\x1b\[\d+;\d+R\x1b\[\?[\d;]+c/.test(s.input.toString()));
	const answered = s.input.length;
	mock.cut();
	await until("another connection", () => s.hellos.length === 2);
	await page.reload();
	await until("a third", () => s.hellos.length === 3);
	await shows(page, "ask");
	await page.waitForTimeout(300);
	assert.equal(s.input.length, answered, "the replay typed " + JSON.stringify(s.input.subarray(answered).toString()));
});

test("output is acknowledged as it is parsed", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	await page.keyboard.type("flood 3000\r");
	const s = session(mock);
	await until("acknowledgements", () => s.acks.length > 0 && s.output.length - s.acks.at(-1) < 32768 && s.output.length > 200_000);
	assert.ok(s.acks.every((a, i) => i === 0 || a - s.acks[i - 1] >= 32768), "not more often than asked for");
});

test("a large paste arrives whole", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	const s = session(mock);
	s.write("\x1b[?2004h");
	const text = "中文 paste 😀 ".repeat(40_000);
	await page.evaluate((text) => navigator.clipboard.writeText(text), text);
	await page.click(".terminal");
	await page.keyboard.press("Control+Shift+V");
	const want = Buffer.byteLength(text) + 12;
	await until("the paste", () => s.input.length >= want);
	assert.equal(s.input.toString(), `\x1b[200~${text}\x1b[201~`);
});

test("programs write the clipboard and cannot read it", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	const s = session(mock);
	await page.evaluate(() => navigator.clipboard.writeText("secret"));
	s.write("\x1b]52;c;?\x07");
	s.write(`\x1b]52;c;${Buffer.from("from the program").toString("base64")}\x07`);
	await until("the clipboard", async () => (await page.evaluate(() => navigator.clipboard.readText())) === "from the program");
	assert.equal(s.input.length, 0);
});

test("links ask first, and only lead to the web", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	session(mock).write("\x1b[2J\x1b[Hhttps://example.org/x\r\n\x1b]8;;javascript:alert(1)\x1b\\here\x1b]8;;\x1b\\\r\n");
	await shows(page, "here");
	const box = await page.locator(".xterm-screen").boundingBox();
	const line = box.height / (await page.evaluate(() => document.querySelector(".terminal").terminal.text().length && document.querySelectorAll(".xterm-rows > div").length));
	await page.mouse.move(box.x + 20, box.y + line * 1.5);
	await page.mouse.click(box.x + 20, box.y + line * 1.5);
	await page.waitForTimeout(200);
	assert.equal(await page.locator(hook("link-dialog")).count(), 0);
	await page.mouse.move(box.x + 40, box.y + line / 2);
	await page.mouse.move(box.x + 42, box.y + line / 2);
	await page.waitForTimeout(100);
	await page.mouse.click(box.x + 42, box.y + line / 2);
	await page.waitForSelector('[data-test="link-dialog"]:has-text("https://example.org/x")');
});

test("an exit code is shown, and Again opens the same", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	await page.keyboard.type("exit 3\r");
	await page.waitForSelector('[data-test="ended-text"]:has-text("exited with 3")');
	await page.click(hook("again"));
	await until("another session", () => mock.sessions.size === 2);
	await page.waitForSelector('[data-phase="live"]');
});

for (const [code, again] of [[1001, true], [1011, true], [4000, false], [4003, false], [4010, false]]) {
	test(`close code ${code} ${again ? "connects again" : "is final, and said"}`, async (t) => {
		const { page, mock } = await open(t);
		await shell(page);
		session(mock).fault({ code: "x", message: "the server's words", fatal: true }, code);
		if (again) {
			await until("another connection", () => session(mock).hellos.length === 2);
			await page.waitForSelector('[data-phase="live"]');
		} else {
			await page.waitForSelector('[data-test="failed"]:has-text("the server\'s words")');
			await page.waitForTimeout(600);
			assert.equal(session(mock).hellos.length, 1);
		}
	});
}

test("a viewer sees, follows the size, and types nothing", async (t) => {
	const { page, mock } = await open(t, {
		setup: (m) => {
			const s = new Shell("bobs", "bob", { mode: "exec", container: "api", cmd: ["sh"] }, m);
			s.invited = "alice";
			m.sessions.set(s.id, s);
		},
		hash: "#watch=bobs",
	});
	await page.waitForSelector('[data-test="watching"]:has-text("watching bob, read only")');
	const s = session(mock);
	s.write("\x1b[6nhello viewers");
	await shows(page, "hello viewers");
	await page.click(".terminal");
	await page.keyboard.type("typed");
	await page.waitForTimeout(200);
	assert.equal(s.input.length, 0);
	assert.equal(await page.evaluate(() => document.querySelector(".terminal").terminal.emulator.xterm.cols), 100);
});

test("an administrator ends a terminal, and its user reads why", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	const s = session(mock);
	s.notice({ kind: "message", user: "root", text: "save your work" });
	await page.waitForSelector('[data-test="note-message"]:has-text("save your work")');
	s.end({ code: null, reason: "admin", by: "root", message: "maintenance" });
	await page.waitForSelector('[data-test="ended"]:has-text("ended by root: maintenance")');
});

test("what could not be ended is listed", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	session(mock).end({ code: null, reason: "admin", by: "root", survived: ["process 7 sleep", "process 9 vi"] });
	await page.waitForSelector('[data-test="ended"]:has-text("Still running: process 7 sleep; process 9 vi.")');
});

test("a recording's dot says who will be able to see it", async (t) => {
	const see = async (mine, may, words) => {
		const { page } = await open(t, {
			setup: (m) => {
				const s = new Shell("taped", mine ? "alice" : "bob", { mode: "exec", container: "api", cmd: ["sh"], record: true }, m);
				s.invited = "alice";
				m.sessions.set(s.id, s);
				if (!may) for (const e of m.me.engines) m.me.actions[e] = m.me.actions[e].filter((a) => a !== "terminal.record");
			},
			hash: mine ? "" : "#watch=taped",
		});
		if (mine) await page.click(hook("session"));
		assert.equal(await page.getAttribute(hook("recorded"), "title"), `This terminal is recorded. ${words} can play it.`);
	};
	await see(true, true, "You and the administrators");
	await see(true, false, "The administrators");
	await see(false, true, "bob and the administrators");
});

test("a container whose image is named by its id is listed by the image's name", async (t) => {
	const { page, mock } = await open(t, {
		setup: (m) => {
			m.containers[0].Image = m.images[1].Id;
			m.containers[1].Image = `sha256:${"f".repeat(64)}`; // of no image that is to be seen
		},
	});
	await page.waitForSelector('[data-test="container"]:has-text("web"):has-text("nginx:1.27-alpine")');
	await page.waitForSelector('[data-test="container"]:has-text("api"):has-text("ffffffffffff")');
	await page.fill(hook("filter"), "nginx:1.27");
	await until("only that container", async () => (await page.locator(hook("container")).count()) === 1);
	const asked = () => mock.seen.filter((s) => s.route.endsWith("/images/json")).length;
	const before = asked();
	await until("the list to be asked for again", () => mock.seen.filter((s) => s.route.endsWith("/containers/json")).length > 3);
	assert.equal(asked(), before);
});

test("pull progress becomes the shell", async (t) => {
	const { page } = await open(t, { setup: (m) => (m.pull = true) });
	await page.click(hook("new-tab"));
	await page.click(hook("mode-run"));
	await page.fill(hook("image"), "python:3.14");
	await page.keyboard.press("Enter");
	await page.waitForSelector('[data-test="pull"] [role="progressbar"]');
	await page.waitForSelector(hook("pull"), { state: "detached" });
	await shows(page, "alice@web");
});

test("splits keep what stands in them", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	await page.keyboard.type("echo left\r");
	await shows(page, "\nleft");
	await page.keyboard.press("Control+Shift+D");
	await until("a second session", () => mock.sessions.size === 2);
	await until("two panes", async () => (await page.locator('[data-phase="live"]').count()) === 2);
	assert.ok((await screen(page)).includes("\nleft"));
	const widths = await page.locator(hook("pane")).evaluateAll((all) => all.map((e) => e.getBoundingClientRect().width));
	assert.ok(widths.every((w) => w > 300), `panes of ${widths}`);
	await until("the new size is told", () => [...mock.sessions.values()][0].sizes.length > 0);
});

test("Tab goes around the page, and Escape closes dialogs", async (t) => {
	const { page } = await open(t);
	await page.waitForFunction(() => document.activeElement?.dataset.test === "open-shell");
	await page.keyboard.press("/");
	await page.waitForFunction(() => document.activeElement?.dataset.test === "filter");
	await page.keyboard.type("postgres");
	await page.keyboard.press("ArrowDown");
	await page.keyboard.press("Enter");
	await page.waitForSelector('[data-test="container-head"] h1:has-text("postgres")');
	await page.locator("body").press("?");
	await page.waitForSelector(hook("keys-dialog"));
	await page.keyboard.press("Escape");
	await page.waitForSelector(hook("keys-dialog"), { state: "detached" });
});

test("a recording plays, seeks and skips idle time", async (t) => {
	const { page } = await open(t);
	await page.click(hook("recording"));
	await page.waitForSelector(hook("player"));
	const text = () => page.evaluate(() => document.querySelector(".player-screen .terminal").playback.text());
	await page.locator(hook("seek")).evaluate((e) => {
		e.value = "2";
		e.dispatchEvent(new Event("input", { bubbles: true }));
	});
	await until("the screen of then", async () => /uname\nLinux/.test(await text()) && !/世界/.test(await text()));
	await until("the end, idle time skipped", async () => /logout/.test(await text()));
	assert.match(await text(), /你好，世界 😀/);
});

test("a recording is as long as the list says", async (t) => {
	const { page } = await open(t, { setup: (m) => (m.recordings[0].seconds = 13.99) });
	const row = page.locator(hook("recording")).first();
	const length = await row.locator(".also").textContent();
	assert.equal(length, "0:14");
	await row.click();
	await page.waitForSelector(hook("player"));
	assert.equal((await page.textContent(hook("time"))).split(" / ")[1], length);
	await page.locator(hook("seek")).evaluate((e) => {
		e.value = e.max;
		e.dispatchEvent(new Event("input", { bubbles: true }));
	});
	await until("the end", async () => (await page.textContent(hook("time"))) === `${length} / ${length}`);
});

test("what the role does not allow is not offered", async (t) => {
	const { page } = await open(t, { setup: (m) => (m.me.actions = { local: ["container.list"], east: [] }) });
	await page.waitForSelector(hook("container"));
	for (const name of ["new", "new-tab", "stop", "start", "admin", "open-shell"]) assert.equal(await page.locator(hook(name)).count(), 0, name);
	await page.waitForSelector("text=You may not terminal.open here");
});

test("what the role may not see is not asked for", async (t) => {
	const { page, mock } = await open(t, {
		setup: (m) => {
			m.me.actions = { local: [], east: [] };
			m.refuse["GET /v1.41/containers/json"] = { status: 403, message: "moorgate: alice may not container.list" };
		},
	});
	await page.waitForSelector(`${hook("containers")}:has-text("alice may not container.list")`);
	assert.equal(await page.locator(hook("sessions")).count(), 0);
	await page.waitForTimeout(6000); // lists are asked for again every 5 s
	const asked = (path) => mock.seen.filter((s) => s.route === `GET ${path}`).length;
	assert.deepEqual(["/api/terminal/sessions", "/api/terminal/recordings", "/v1.41/containers/json"].map(asked), [0, 0, 1]);
});

test("markup in names is text", async (t) => {
	const name = '<img src=x onerror="document.title=1">';
	const { page } = await open(t, { setup: (m) => ((m.containers[0].Names = ["/" + name]), (m.containers[0].Image = name)) });
	await page.waitForSelector(hook("container-head"));
	assert.equal(await page.locator("#app img").count(), 0);
	assert.equal(await page.textContent('[data-test="container-head"] h1'), name);
});

test("on a phone, keys are at hand and the lists are a drawer", async (t) => {
	const { page, mock } = await open(t, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
	await page.waitForSelector(hook("open-shell"));
	assert.equal(await page.locator(".sidebar").isVisible(), false);
	await page.tap(hook("open-shell"));
	await page.waitForSelector('[data-phase="live"]');
	await page.tap('[data-test="keybar"] >> text=Ctrl');
	await page.keyboard.press("c");
	await page.tap('[data-test="keybar"] >> text=Esc');
	await until("^C and Esc", () => session(mock).input.toString() === "\x03\x1b").catch((err) => assert.fail(`${err.message}: ${JSON.stringify(session(mock).input.toString())}`));
	await page.tap(hook("drawer"));
	await page.waitForSelector(".window.drawer .sidebar");
	assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing is wider than the phone");
});

test("Chinese is complete on the page", async (t) => {
	const { page } = await open(t, { locale: "zh-CN" });
	await page.waitForSelector(hook("containers"));
	assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-Hans");
	await page.waitForSelector('h2:has-text("容器")');
});

test("a tab dragged to a pane's edge stands beside it", async (t) => {
	const { page } = await open(t);
	await page.click('[data-test="container"]:has-text("postgres")');
	await until("two tabs", async () => (await page.locator(hook("tab")).count()) === 2);
	await page.locator(hook("tab")).first().click();
	await page.locator(hook("tab")).nth(1).dragTo(page.locator(`${hook("pane")}:visible`), { targetPosition: { x: 700, y: 300 } });
	await until("one tab of two panes", async () => (await page.locator(hook("tab")).count()) === 1 && (await page.locator(`${hook("pane")}:visible`).count()) === 2);
	const [left, right] = await page.locator(`${hook("pane")}:visible`).evaluateAll((all) => all.map((e) => [e.querySelector("h1").textContent, Math.round(e.getBoundingClientRect().left)]));
	assert.deepEqual([left[0], right[0]], ["web", "postgres"]);
	assert.ok(left[1] < right[1]);
});

test("the keyboard gets out of a terminal", async (t) => {
	const { page } = await open(t);
	await shell(page);
	await page.keyboard.press("Control+Shift+L");
	await page.waitForFunction(() => document.activeElement?.dataset.test === "filter");
});

test("closing asks only while something runs", async (t) => {
	const { page, mock } = await open(t);
	await shell(page);
	await page.click(hook("close-tab"));
	await page.click(hook("keep-running"));
	await until("no tab", async () => (await page.locator(hook("tab")).count()) === 0);
	assert.equal(session(mock).state, "running");
	await page.click(hook("session"));
	await page.waitForSelector('[data-phase="live"]');
	await page.click(hook("close-tab"));
	await page.click(hook("end-it"));
	await until("the end", () => session(mock).state === "ended");
	await page.click(hook("container"));
	await page.click(hook("close-tab"));
	await until("no tab", async () => (await page.locator(hook("tab")).count()) === 0);
});

for (const colorScheme of ["light", "dark"]) {
	test(`every view keeps the rules of WCAG AA, ${colorScheme}`, async (t) => {
		const axe = await readFile(new URL("../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
		const { page, mock } = await open(t, { colorScheme });
		const check = async (view) => {
			await page.waitForTimeout(150); // colours are on their way
			if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
			const { violations } = await page.evaluate(() => window.axe.run({ exclude: [".xterm"] }, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
			assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(" | ")}`), [], `${view}, ${colorScheme}`);
		};
		await page.waitForSelector(hook("open-shell"));
		await check("first");
		for (const view of ["logs", "stats", "inspect"]) {
			await page.click(hook(`view-${view}`));
			await page.waitForSelector(hook(view));
			await check(view);
		}
		await page.click(hook("view-terminal"));
		await shell(page);
		session(mock).notice({ kind: "viewer_joined", attachment: "v", user: "bob", role: "viewer" });
		session(mock).notice({ kind: "message", user: "root", text: "hello" });
		await page.waitForSelector(hook("avatars"));
		await check("terminal");
		await page.click(hook("share"));
		await page.waitForSelector(hook("share-dialog"));
		await check("share");
		await page.keyboard.press("Escape");
		await page.click(hook("new-tab"));
		await page.waitForSelector(hook("new-dialog"));
		await check("new");
		await page.keyboard.press("Escape");
		await page.click(hook("recording"));
		await page.waitForSelector(hook("seek"));
		await check("recording");
		await page.click(hook("admin"));
		await page.waitForSelector(hook("admin-sessions"));
		await check("admin");
		await page.click(hook("view-denied"));
		await page.waitForSelector(hook("admin-denied"));
		await check("denied");
		mock.refuse["GET /v1.41/containers/json"] = { status: 502, message: "the Engine is away" };
		await page.click(hook("settings"));
		await page.waitForSelector(hook("problem"));
		await check("failed");
		mock.me = null;
		await page.reload();
		await page.waitForSelector(hook("login"));
		await check("login");
	});
}
