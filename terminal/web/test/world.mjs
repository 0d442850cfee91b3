// What the made-up server has: users, containers, images, recordings.

const all = [
	"system.events", "container.list", "container.inspect", "container.logs", "container.stats", "container.start", "container.stop",
	"container.restart", "container.create", "container.attach", "exec.create", "exec.start", "image.list", "image.pull",
	"terminal.open", "terminal.share", "terminal.record", "terminal.admin",
];

export const me = { user: "alice", groups: ["docker-users"], roles: ["developer"], engines: ["local", "east"], actions: { local: all, east: all }, evidence: "session" };

const now = Math.floor(Date.now() / 1000);
const id = (n) => (n * 7919).toString(16).padStart(4, "0").repeat(16).slice(0, 64);
const container = (n, name, image, state, age, status, ports = []) => ({
	Id: id(n), Names: ["/" + name], Image: image, ImageID: "sha256:" + id(n + 100), Created: now - age, Ports: ports, Labels: {}, State: state, Status: status,
});

export const containers = [
	container(1, "web", "nginx:1.27-alpine", "running", 5400, "Up 2 hours", [
		{ IP: "0.0.0.0", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
		{ IP: "::", PrivatePort: 80, PublicPort: 8080, Type: "tcp" },
	]),
	container(2, "api", "ghcr.io/acme/alice/api:2026-11-20", "running", 7300, "Up 2 hours (healthy)", [{ PrivatePort: 3000, Type: "tcp" }]),
	container(3, "postgres", "postgres:17.2", "running", 260000, "Up 3 days", [{ IP: "127.0.0.1", PrivatePort: 5432, PublicPort: 5432, Type: "tcp" }]),
	container(4, "redis-cache-for-sessions-and-rate-limits", "redis:7.4-alpine", "running", 260000, "Up 3 days"),
	container(5, "worker", "ghcr.io/acme/alice/worker:2026-11-20", "restarting", 300, "Restarting (1) 4 seconds ago"),
	container(6, "migrate", "ghcr.io/acme/alice/api:2026-11-20", "exited", 86400, "Exited (0) 24 hours ago"),
	container(7, "old-web", "nginx:1.25", "exited", 1900000, "Exited (137) 3 weeks ago"),
];

export const images = ["busybox:1.36", "nginx:1.27-alpine", "postgres:17.2", "redis:7.4-alpine", "ghcr.io/acme/alice/api:2026-11-20", "python:3.13-slim"].map(
	(tag, i) => ({ Id: "sha256:" + id(i + 200), RepoTags: [tag], Size: 30e6 * (i + 1), Created: now - 90000 * i }),
);

const recording = (n, user, name, cmd, hoursAgo, seconds, code) => ({
	id: `r${n}`, session: `old${n}`, user, mode: "exec", container: id(n), container_name: name, image: "nginx:1.27-alpine", cmd,
	started: new Date(Date.now() - hoursAgo * 3.6e6).toISOString(), ended: new Date().toISOString(), seconds, bytes: seconds * 812, input: false, cols: 80, rows: 20, exit_code: code,
});

export const recordings = [recording(1, "alice", "web", ["bash"], 1, 12.4, 0), recording(2, "alice", "postgres", ["psql", "-U", "app"], 26, 1840, 0), recording(3, "bob", "api", ["sh"], 50, 95, 137)];

const at = (minutes) => new Date(Date.now() - minutes * 60000).toISOString();

export const denied = [
	{ time: at(1), id: "ipq27kj6dl202-2", user: "bob", engine: "local", action: "image.pull", method: "POST", path: "/v1.41/images/create", refs: ["image:docker.io/library/ubuntu:latest"], decision: "deny", rule: "role developer, images[1]", reason: "pin a version" },
	{ time: at(9), id: "ipq27kj6dl1ff-9", user: "ci", engine: "local", action: "container.create", method: "POST", path: "/v1.41/containers/create", refs: ["image:docker.io/library/busybox:1.36"], decision: "deny", rule: "role pull-only, containers.privileged", reason: "privileged is refused: a container that is privileged owns the host" },
	{ time: at(31), id: "ipq27kj6dl0aa-1", user: "", engine: "local", action: "", method: "POST", path: "/v1.41/containers/../../x", refs: [], decision: "would_deny", rule: "path", reason: "unclean path" },
];

export const cast = [
	{ version: 2, width: 80, height: 20, timestamp: 1763700000 },
	[0.2, "o", "\x1b[32malice@web\x1b[0m:\x1b[34m~\x1b[0m$ "],
	[1.0, "o", "u"], [1.1, "o", "n"], [1.2, "o", "a"], [1.3, "o", "m"], [1.4, "o", "e"], [1.6, "o", "\r\nLinux\r\n\x1b[32malice@web\x1b[0m:\x1b[34m~\x1b[0m$ "],
	[9.0, "o", "echo 你好，世界 😀\r\n你好，世界 😀\r\n\x1b[32malice@web\x1b[0m:\x1b[34m~\x1b[0m$ "],
	[11.5, "o", "exit\r\n"], [12.4, "o", "logout\r\n"],
].map((line) => JSON.stringify(line)).join("\n") + "\n";

/** Answers as the Engine would. */
export function engine(mock, method, name, query, res, send) {
	const stream = (kind) => res.writeHead(200, { "Content-Type": kind });
	if (name === "/containers/json") return send(200, mock.containers);
	if (name === "/images/json") return send(200, mock.images);
	if (name === "/events") return void stream("application/json").write("\n");
	const [, found, what] = /^\/containers\/([^/]+)\/(\w+)$/.exec(name) ?? [];
	const c = mock.containers.find((one) => one.Id === found);
	if (!c) return send(404, { message: found ? `No such container: ${found}` : "page not found" });
	switch (`${method} ${what}`) {
		case "GET json":
			return send(200, inspected(c));
		case "GET logs":
			return logs(stream("application/vnd.docker.raw-stream"));
		case "GET stats":
			return stats(stream("application/json"));
		case "POST start":
		case "POST restart":
			Object.assign(c, { State: "running", Status: "Up 1 second" });
			return res.writeHead(204).end();
		case "POST stop":
			Object.assign(c, { State: "exited", Status: "Exited (0) 1 second ago" });
			return res.writeHead(204).end();
	}
	return send(404, { message: "page not found" });
}

const inspected = (c) => ({
	Id: c.Id, Created: new Date(c.Created * 1000).toISOString(), Path: "/docker-entrypoint.sh", Args: ["nginx", "-g", "daemon off;"],
	State: { Status: c.State, Running: c.State === "running", Paused: false, Pid: 4711, ExitCode: 0, StartedAt: new Date(c.Created * 1000).toISOString() },
	Image: c.ImageID, Name: c.Names[0], RestartCount: 0, HostConfig: { Binds: ["/srv/data:/data:ro"], NetworkMode: "bridge", Memory: 536870912, NanoCpus: 2e9 },
	Config: { Hostname: c.Id.slice(0, 12), Tty: false, Env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "NGINX_VERSION=1.27.3"], Image: c.Image, Labels: { "moorgate.owner": "alice" } },
	NetworkSettings: { IPAddress: "172.17.0.2", Ports: { "80/tcp": [{ HostIp: "0.0.0.0", HostPort: "8080" }] } },
	Mounts: [],
});

function logs(res) {
	const line = (stream, text, secondsAgo) => {
		const data = Buffer.from(`${new Date(Date.now() - secondsAgo * 1000).toISOString()} ${text}\n`);
		const head = Buffer.alloc(8);
		head[0] = stream;
		head.writeUInt32BE(data.length, 4);
		res.write(Buffer.concat([head, data]));
	};
	for (let i = 60; i > 0; i--) {
		if (i % 17 === 0) line(2, `2026/11/21 [error] 31#31: *${900 - i} open() "/usr/share/nginx/html/favicon.ico" failed (2: No such file or directory)`, i * 4);
		else line(1, `172.17.0.1 - - "GET /${["", "api/items", "assets/app.js", "健康检查"][i % 4]} HTTP/1.1" \x1b[3${i % 5 === 0 ? 3 : 2}m${i % 5 === 0 ? 404 : 200}\x1b[0m ${i * 137} "-" "Mozilla/5.0"`, i * 4);
	}
	let n = 0;
	const timer = setInterval(() => line(1, `172.17.0.1 - - "GET /live/${n++} HTTP/1.1" 200 612`, 0), 1000);
	res.on("close", () => clearInterval(timer));
}

function stats(res) {
	const total = { cpu: 1e9, system: 1e10, rx: 1e6, tx: 2e6, rd: 0, wr: 0 };
	const sample = (at) => {
		const before = { ...total };
		const wave = Math.sin(at / 40000) + Math.sin(at / 9000) / 2;
		total.cpu += 1e9 * (0.35 + wave * 0.15 + Math.random() * 0.1);
		total.system += 2e9;
		total.rx += 4e4 * (1.5 + wave) + Math.random() * 2e4;
		total.tx += 1.6e5 * (1.5 + wave) + Math.random() * 2e4;
		total.wr += Math.random() > 0.9 ? 4e6 : 0;
		res.write(JSON.stringify({
			read: new Date(at).toISOString(),
			cpu_stats: { cpu_usage: { total_usage: total.cpu }, system_cpu_usage: total.system, online_cpus: 2 },
			precpu_stats: { cpu_usage: { total_usage: before.cpu }, system_cpu_usage: before.system, online_cpus: 2 },
			memory_stats: { usage: 2.1e8 + 1e7 * wave, limit: 536870912, stats: { inactive_file: 3e7 } },
			networks: { eth0: { rx_bytes: total.rx, tx_bytes: total.tx } },
			blkio_stats: { io_service_bytes_recursive: [{ op: "read", value: total.rd }, { op: "write", value: total.wr }] },
		}) + "\n");
	};
	for (let s = 290; s > 0; s--) sample(Date.now() - s * 1000);
	const timer = setInterval(() => sample(Date.now()), 1000);
	res.on("close", () => clearInterval(timer));
}
