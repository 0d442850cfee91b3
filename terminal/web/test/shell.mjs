// A made-up session: a line that echoes, and a few commands.

const prompt = "\x1b[32malice@web\x1b[0m:\x1b[34m~\x1b[0m$ ";

export class Shell {
	started = new Date().toISOString();
	state = "running";
	viewers = [];
	exit = undefined;
	/** All output so far; offsets count from its beginning. */
	output = Buffer.alloc(0);
	/** All input so far. */
	input = Buffer.alloc(0);
	/** HELLO and RESIZE and ACK frames as they came. */
	hellos = [];
	sizes = [];
	acks = [];
	epoch = Date.now();
	/** Milliseconds between HELLO and its answer. */
	late = 0;
	#clients = new Set();
	#line = "";

	constructor(id, user, spec, mock) {
		this.id = id;
		this.user = user;
		this.spec = spec;
		this.mock = mock;
		this.tty = spec.tty ?? true;
		this.container = mock.containers.find((c) => c.Id === spec.container || c.Names?.includes("/" + spec.container));
		if (mock.pull && spec.mode === "run") this.state = "starting";
		else if (this.tty) this.write(prompt);
	}

	info(caller) {
		return {
			id: this.id, user: this.user, mode: this.spec.mode, engine: "local", container: this.container?.Id ?? "",
			container_name: this.container?.Names[0].slice(1) ?? "", image: this.spec.image ?? this.container?.Image ?? "",
			cmd: this.spec.cmd ?? ["bash"], tty: this.tty, state: this.state, started: this.started, idle: 12, owners: 1,
			viewers: this.viewers, bytes: this.output.length, role: this.user === caller ? "owner" : this.invited === caller ? "viewer" : "",
		};
	}

	write(text, stream = 1) {
		const data = Buffer.isBuffer(text) ? text : Buffer.from(text);
		const offset = this.output.length;
		this.output = Buffer.concat([this.output, data]);
		for (const c of this.#clients) if (c.ready) c.ws.send(outputFrame(stream, offset, data));
	}

	notice(body) {
		for (const c of this.#clients) c.ws.send(json(0x16, body));
	}

	fault(body, code) {
		for (const c of this.#clients) {
			c.ws.send(json(0x15, body));
			if (code) c.ws.close(code, body.message);
		}
	}

	end(exit) {
		this.exit = exit;
		this.state = "ended";
		for (const c of this.#clients) {
			c.ws.send(json(0x14, exit));
			c.ws.close(1000, "");
		}
	}

	attach(ws, role, user) {
		const client = { ws, role, ready: false };
		this.#clients.add(client);
		ws.on("close", () => this.#left(client));
		ws.on("message", (frame) => this.#take(client, frame, user));
	}

	#left(client) {
		this.#clients.delete(client);
		this.viewers = this.viewers.filter((v) => v.attachment !== client.id);
		if (client.role !== "owner") this.notice({ kind: "viewer_left", attachment: client.id, user: client.user });
	}

	async #take(client, frame, user) {
		const body = frame.subarray(1);
		if (frame[0] === 0x11 && this.late) await new Promise((r) => setTimeout(r, this.late));
		switch (frame[0]) {
			case 0x11:
				return this.#hello(client, JSON.parse(body), user);
			case 0x00:
				this.input = Buffer.concat([this.input, body]);
				if (client.role !== "viewer") for (const c of body.toString()) this.#key(c);
				return;
			case 0x03:
				return this.sizes.push([body.readUInt16BE(0), body.readUInt16BE(2)]);
			case 0x10:
				return this.acks.push(Number(body.readBigUInt64BE(0)));
		}
	}

	#hello(client, hello, user) {
		this.hellos.push(hello);
		const from = hello.resume_from < 0 ? 0 : hello.resume_from;
		client.id = `a${this.hellos.length}`;
		client.user = user;
		client.ready = true;
		client.ws.send(json(0x12, {
			session: this.id, attachment: client.id, role: client.role, user: this.user,
			container: this.container?.Id ?? "c", cmd: this.spec.cmd ?? ["bash"], tty: this.tty, window: 262144, ack_every: 32768,
			start: 0, offset: from, epoch: this.epoch, recording: this.spec.record === true, limits: { grace: 300, idle: 1800, max: 43200, stdin: 65536 },
		}));
		client.ws.send(Buffer.from([3, 0, 100, 0, 30]));
		if (from < this.output.length) {
			client.ws.send(json(0x13, { state: "begin", from, truncated: false }));
			client.ws.send(outputFrame(1, from, this.output.subarray(from)));
			client.ws.send(json(0x13, { state: "end", from, truncated: false }));
		}
		for (const v of this.viewers) client.ws.send(json(0x16, { kind: "viewer_joined", ...v }));
		if (client.role !== "owner") {
			const viewer = { attachment: client.id, user, role: client.role };
			this.viewers.push(viewer);
			this.notice({ kind: "viewer_joined", ...viewer });
		}
		if (this.state === "starting") void this.#pull();
	}

	/** Pulls an image in two seconds, and then is a shell. */
	async #pull() {
		const ids = ["a2abf6c4d29d", "d5a8c3c1f0b2", "9f3c1a7e4b60"];
		this.notice({ kind: "pull", status: `Pulling from library/${this.spec.image}` });
		for (let part = 0; part <= 10 && this.mock.pull; part = this.mock.pull === "stuck" ? Math.min(part + 1, 6) : part + 1) {
			ids.forEach((id, i) => {
				const total = [31_400_000, 2_200_000, 890][i];
				const current = Math.min(total, (total * part * (i + 1)) / 10);
				if (i === 0 && part === 0) this.notice({ kind: "pull", id, status: "Already exists" });
				else if (i > 0) this.notice(current < total ? { kind: "pull", id, status: "Downloading", current: Math.round(current), total } : { kind: "pull", id, status: "Pull complete" });
				else this.notice({ kind: "pull", id: "0b1e7c2d4f58", status: part < 10 ? "Downloading" : "Pull complete", current: Math.round((total * part) / 10), total });
			});
			await new Promise((r) => setTimeout(r, 200));
		}
		this.notice({ kind: "pull", status: "Status: Downloaded newer image" });
		this.state = "running";
		this.write(prompt);
	}

	#key(c) {
		if (c === "\r") {
			this.write("\r\n");
			this.#run(this.#line);
			this.#line = "";
		} else if (c === "\x7f") {
			if (this.#line) this.write("\b \b");
			this.#line = this.#line.slice(0, -1);
		} else if (c >= " ") {
			this.#line += c;
			this.write(c);
		}
	}

	#run(line) {
		const [name, ...rest] = line.split(" ");
		if (name === "exit") return this.end({ code: Number(rest[0] ?? 0), reason: "exited" });
		if (name === "echo") this.write(rest.join(" ").replaceAll("\\e", "\x1b") + "\r\n");
		else if (name === "flood") for (let i = 0; i < Number(rest[0]); i++) this.write(`line ${i} ${"x".repeat(60)}\r\n`);
		else if (name === "ask") this.write("\x1b[6n\x1b[c");
		else if (name === "ls") this.write("\x1b[34mbin\x1b[0m  \x1b[34metc\x1b[0m  \x1b[36mlib\x1b[0m  README.md  \x1b[32mrun.sh\x1b[0m\r\n");
		else if (name) this.write(`sh: ${name}: not found\r\n`);
		this.write(prompt);
	}
}

function outputFrame(stream, offset, data) {
	const head = Buffer.alloc(9);
	head[0] = stream;
	head.writeBigUInt64BE(BigInt(offset), 1);
	return Buffer.concat([head, data]);
}

const json = (type, body) => Buffer.concat([Buffer.from([type]), Buffer.from(JSON.stringify(body))]);
