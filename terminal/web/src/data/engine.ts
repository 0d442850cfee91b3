// The Engine's API, through moorgate, as far as the page needs it.

import { ask, askJSON, linesOf } from "./http";

const version = "v1.41";

/** The prefix of an engine's API: the first engine is the default one. */
export function apiOf(engine: string, engines: readonly string[]): string {
	return engine === "" || engine === engines[0] ? version : `engines/${encodeURIComponent(engine)}/${version}`;
}

export interface Port {
	IP?: string;
	PrivatePort: number;
	PublicPort?: number;
	Type: string;
}

export interface Container {
	Id: string;
	Names: string[];
	Image: string;
	ImageID: string;
	Created: number;
	Ports: Port[];
	Labels: Record<string, string>;
	State: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead";
	Status: string;
}

export interface Image {
	Id: string;
	RepoTags: string[] | null;
	Size: number;
	Created: number;
}

export interface Inspected {
	Id: string;
	Name: string;
	Config: { Tty: boolean; [key: string]: unknown };
	State: { Status: string; [key: string]: unknown };
	[key: string]: unknown;
}

export const nameOf = (c: Container) => (c.Names[0] ?? c.Id.slice(0, 12)).replace(/^\//, "");

/** An image as people write it: without the default registry, and ids short. */
export function shortImage(image: string): string {
	const id = /^(?:sha256:)?([0-9a-f]{12})[0-9a-f]{52}$/.exec(image);
	return id ? id[1]! : image.replace(/^docker\.io\/(library\/)?/, "").replace(/@sha256:([0-9a-f]{8})[0-9a-f]+$/, "@$1");
}

export const listImages = (api: string) => askJSON<Image[]>(`${api}/images/json`);

/** Names of images by API and id; empty for those that have none, or none to be seen. */
const imageNames = new Map<string, string>();

/** All containers. Those made through moorgate name their image by its id: here each has its name, if there is one. */
export async function listContainers(api: string): Promise<Container[]> {
	const list = await askJSON<Container[]>(`${api}/containers/json?all=1`);
	const key = (id: string) => `${api} ${id}`;
	const strange = list.filter((c) => c.Image.startsWith("sha256:") && !imageNames.has(key(c.Image)));
	if (strange.length > 0) {
		const images = await listImages(api).catch(() => []); // who may not list them reads ids
		for (const c of strange) imageNames.set(key(c.Image), "");
		for (const i of images) imageNames.set(key(i.Id), i.RepoTags?.find((tag) => !tag.startsWith("<none>")) ?? "");
	}
	return list.map((c) => ({ ...c, Image: imageNames.get(key(c.Image)) || c.Image }));
}

export const inspectContainer = (api: string, id: string) =>
	askJSON<Inspected>(`${api}/containers/${encodeURIComponent(id)}/json`);

export type Deed = "start" | "stop" | "restart";

export async function doTo(api: string, id: string, deed: Deed): Promise<void> {
	await ask(`${api}/containers/${encodeURIComponent(id)}/${deed}`, { method: "POST" });
}

/** Follows what happens to containers; ends when the Engine or the network does. */
export async function* containerEvents(api: string, signal: AbortSignal): AsyncGenerator<unknown> {
	const filters = encodeURIComponent(JSON.stringify({ type: ["container"] }));
	for await (const line of linesOf(await ask(`${api}/events?filters=${filters}`, { signal }))) {
		if (line) yield JSON.parse(line);
	}
}

/** Follows a container's figures, one sample a second. */
export async function* statsOf(api: string, id: string, signal: AbortSignal): AsyncGenerator<RawStats> {
	const answer = await ask(`${api}/containers/${encodeURIComponent(id)}/stats?stream=1`, { signal });
	for await (const line of linesOf(answer)) {
		if (line) yield JSON.parse(line) as RawStats;
	}
}

export interface RawStats {
	read: string;
	cpu_stats: RawCPU;
	precpu_stats: RawCPU;
	memory_stats: { usage?: number; limit?: number; stats?: Record<string, number> };
	networks?: Record<string, { rx_bytes: number; tx_bytes: number }>;
	blkio_stats?: { io_service_bytes_recursive?: { op: string; value: number }[] | null };
}

interface RawCPU {
	cpu_usage?: { total_usage: number; percpu_usage?: number[] | null };
	system_cpu_usage?: number;
	online_cpus?: number;
}

export interface LogLine {
	text: string;
	time: string;
	stderr: boolean;
}

/** Follows a container's log from its last lines on. */
export async function* logsOf(api: string, id: string, tty: boolean, tail: number, signal: AbortSignal): AsyncGenerator<LogLine[]> {
	const query = `follow=1&stdout=1&stderr=1&timestamps=1&tail=${tail}`;
	const answer = await ask(`${api}/containers/${encodeURIComponent(id)}/logs?${query}`, { signal });
	const reader = answer.body!.getReader();
	const out = new LogReader();
	const demux = tty ? null : new Demultiplexer();
	for (;;) {
		const { done, value } = await reader.read();
		if (done) break;
		const lines: LogLine[] = [];
		if (demux) for (const [stream, data] of demux.take(value)) lines.push(...out.take(data, stream === 2));
		else lines.push(...out.take(value, false));
		if (lines.length > 0) yield lines;
	}
}

/** Cuts the Engine's multiplexed streams: eight bytes of header, then as many as it says. */
export class Demultiplexer {
	private header = new Uint8Array(8);
	private have = 0;
	private left = 0;

	take(data: Uint8Array): [stream: number, data: Uint8Array][] {
		const parts: [number, Uint8Array][] = [];
		while (data.length > 0) {
			if (this.left === 0) {
				const n = Math.min(8 - this.have, data.length);
				this.header.set(data.subarray(0, n), this.have);
				this.have += n;
				data = data.subarray(n);
				if (this.have < 8) break;
				this.have = 0;
				this.left = new DataView(this.header.buffer).getUint32(4);
				continue;
			}
			const n = Math.min(this.left, data.length);
			parts.push([this.header[0]!, data.subarray(0, n)]);
			this.left -= n;
			data = data.subarray(n);
		}
		return parts;
	}
}

/** Makes lines of the bytes of two streams. */
export class LogReader {
	private readonly streams = [false, true].map(() => ({ decoder: new TextDecoder(), rest: "" }));

	take(data: Uint8Array, stderr: boolean): LogLine[] {
		const stream = this.streams[stderr ? 1 : 0]!;
		const lines = (stream.rest + stream.decoder.decode(data, { stream: true })).split("\n");
		stream.rest = lines.pop()!;
		return lines.map((line) => {
			const cut = line.indexOf(" ");
			return { time: line.slice(0, cut), text: line.slice(cut + 1).replace(/\r$/, ""), stderr };
		});
	}
}
