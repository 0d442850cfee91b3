// A server that speaks the page's side of moorgate's contract, with a shell and
// an Engine that are made up. Tests steer it by its fields; run by itself, it
// serves the page at the port that is named: node test/mock.mjs 8380
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";
import { Shell } from "./shell.mjs";
import * as world from "./world.mjs";

const dist = path.join(path.dirname(fileURLToPath(import.meta.url)), "../dist");

export const policy =
	"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

const kinds = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".txt": "text/plain" };

export class Mock {
	/** Who is logged in; null: nobody. */
	me = structuredClone(world.me);
	login = ["password", "token", "oidc"];
	containers = structuredClone(world.containers);
	images = structuredClone(world.images);
	recordings = structuredClone(world.recordings);
	denied = structuredClone(world.denied);
	/** Answers that are refused: "METHOD /path": { status, message, hint }. */
	refuse = {};
	/** Sessions by id; others' are there from the start. */
	sessions = new Map();
	/** Requests that were made, newest last. */
	seen = [];
	pull = false;
	/** Whether websockets are opened; false closes them at once. */
	online = true;
	sockets = new Set();
	#tickets = new Map();
	#next = 1;
	#server = createServer((req, res) => this.#serve(req, res).catch((err) => res.destroy(err)));

	constructor(prefix = "/") {
		this.prefix = prefix;
		const wss = new WebSocketServer({ noServer: true, handleProtocols: () => "moorgate.terminal.v1" });
		this.#server.on("upgrade", (req, socket, head) => {
			if (!this.online) return socket.destroy();
			wss.handleUpgrade(req, socket, head, (ws) => this.#attach(ws, req));
		});
	}

	async listen(port = 0) {
		await new Promise((done) => this.#server.listen(port, "127.0.0.1", done));
		this.url = `http://127.0.0.1:${this.#server.address().port}${this.prefix}`;
		return this;
	}

	close() {
		for (const s of this.sockets) s.terminate();
		this.#server.closeAllConnections();
		this.#server.close();
	}

	/** Breaks every websocket without a goodbye. */
	cut() {
		for (const s of this.sockets) s._socket.destroy();
	}

	async #serve(req, res) {
		const url = new URL(req.url, "http://mock");
		const name = "/" + url.pathname.slice(this.prefix.length);
		const body = await text(req);
		const route = `${req.method} ${name}`;
		this.seen.push({ route, query: url.search, body, origin: req.headers.origin });
		res.setHeader("Moorgate-Request-Id", `mock-${this.#next++}`);
		const send = (status, value) => {
			res.writeHead(status, { "Content-Type": "application/json" });
			res.end(JSON.stringify(value));
		};
		if (!url.pathname.startsWith(this.prefix)) return send(404, { message: "page not found" });
		const no = Object.entries(this.refuse).find(([pattern]) => new RegExp(`^${pattern}$`).test(route));
		if (no) return send(no[1].status, no[1]);
		if (name === "/" || name.startsWith("/assets/")) return this.#file(name, res);
		if (route === "POST /login") {
			const { user, password, token, code } = JSON.parse(body);
			if (password === "wrong" || token === "wrong" || (code && code !== "once")) return send(401, { message: "moorgate: user or password is wrong" });
			this.me = { ...world.me, user: user ?? "alice" };
			return send(200, this.me);
		}
		if (!this.me) return send(401, { message: "who are you? log in with a password, a token, or single sign-on", login: this.login });
		if (route === "POST /logout") {
			this.me = null;
			return res.writeHead(204).end();
		}
		if (route === "GET /api/me") return send(200, this.me);
		if (route === "GET /api/admin/denied") return send(200, { denied: this.denied });
		if (name.startsWith("/api/terminal/sessions")) return this.#sessions(route, body, send, res);
		if (name.startsWith("/api/terminal/recordings")) return this.#recordings(route, send, res);
		const engine = name.replace(/^\/engines\/\w+/, "").replace(/^\/v1\.41/, "");
		return world.engine(this, req.method, engine, url.searchParams, res, send);
	}

	async #file(name, res) {
		const file = path.join(dist, name === "/" ? "index.html" : name);
		const data = await readFile(file).catch(() => null);
		if (!data) return res.writeHead(404).end();
		res.writeHead(200, { "Content-Type": kinds[path.extname(file)], "Content-Security-Policy": policy, "Referrer-Policy": "same-origin" });
		res.end(data);
	}

	#sessions(route, body, send, res) {
		const [, id, what] = /^\w+ \/api\/terminal\/sessions(?:\/([^/]+))?(?:\/(\w+))?$/.exec(route) ?? [];
		const session = this.sessions.get(id);
		if (id && !session) return send(404, { message: `No such session: ${id}` });
		switch (`${route.split(" ")[0]} ${what ?? (id ? "one" : "all")}`) {
			case "GET all":
				return send(200, [...this.sessions.values()].map((s) => s.info(this.me.user)));
			case "GET one":
				return send(200, session.info(this.me.user));
			case "POST all": {
				const spec = JSON.parse(body);
				const made = new Shell(`s${this.#next++}`, this.me.user, spec, this);
				this.sessions.set(made.id, made);
				return send(201, { id: made.id, ticket: this.#ticket(made.id, "owner"), socket: "", expires_in: 30 });
			}
			case "POST tickets":
				return send(201, { ticket: this.#ticket(id, JSON.parse(body).role), expires_in: 30 });
			case "POST message":
				session.notice({ kind: "message", user: this.me.user, text: JSON.parse(body).text });
				return res.writeHead(204).end();
			case "DELETE one": {
				const own = session.user === this.me.user;
				session.end({ code: null, reason: own ? "killed" : "admin", by: this.me.user, message: body ? JSON.parse(body).reason : undefined });
				return res.writeHead(204).end();
			}
		}
		return send(404, { message: "page not found" });
	}

	#recordings(route, send, res) {
		const [, id] = /recordings\/([^/]+?)(?:\.cast)?$/.exec(route) ?? [];
		if (!id) return send(200, this.recordings);
		const found = this.recordings.find((r) => r.id === id);
		if (!found) return send(404, { message: `No such recording: ${id}` });
		if (route.startsWith("DELETE")) {
			this.recordings = this.recordings.filter((r) => r.id !== id);
			return res.writeHead(204).end();
		}
		res.writeHead(200, { "Content-Type": "application/x-asciicast" });
		return res.end(world.cast);
	}

	#ticket(session, role) {
		const ticket = Buffer.from(`t${this.#next++}`.padEnd(32, ".")).toString("base64url");
		this.#tickets.set(ticket, { session, role });
		return ticket;
	}

	#attach(ws, req) {
		this.sockets.add(ws);
		ws.on("close", () => this.sockets.delete(ws));
		const offered = req.headers["sec-websocket-protocol"].split(/, */);
		const ticket = offered.find((p) => p.startsWith("ticket.")).slice("ticket.".length);
		const grant = this.#tickets.get(ticket);
		this.#tickets.delete(ticket);
		if (!grant) return ws.close(4001, "the ticket is used up");
		const session = this.sessions.get(grant.session);
		if (!session) return ws.close(4004, "the session is over");
		session.attach(ws, grant.role, this.me.user);
	}
}

const text = async (req) => {
	let all = "";
	for await (const part of req) all += part;
	return all;
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const mock = await new Mock().listen(Number(process.argv[2] ?? 8380));
	console.log(mock.url);
}
