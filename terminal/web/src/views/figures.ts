// What the Engine's samples mean.

import type { RawStats } from "../data/engine";

export interface Sample {
	/** In milliseconds since 1970. */
	at: number;
	/** In percent of one CPU. */
	cpu: number;
	memory: number;
	memoryLimit: number;
	/** In bytes a second. */
	received: number;
	sent: number;
	read: number;
	written: number;
}

interface Totals {
	at: number;
	received: number;
	sent: number;
	read: number;
	written: number;
}

/** Makes samples of what the Engine sends; rates need the one before. */
export class Meter {
	private last: Totals | null = null;

	take(raw: RawStats): Sample {
		const now = totals(raw);
		const seconds = this.last ? (now.at - this.last.at) / 1000 : 0;
		const rate = (key: "received" | "sent" | "read" | "written") =>
			this.last && seconds > 0 ? Math.max(0, (now[key] - this.last[key]) / seconds) : 0;
		const sample: Sample = {
			at: now.at,
			cpu: cpuOf(raw),
			memory: memoryOf(raw),
			memoryLimit: raw.memory_stats.limit ?? 0,
			received: rate("received"),
			sent: rate("sent"),
			read: rate("read"),
			written: rate("written"),
		};
		this.last = now;
		return sample;
	}
}

function totals(raw: RawStats): Totals {
	const nets = Object.values(raw.networks ?? {});
	const disks = raw.blkio_stats?.io_service_bytes_recursive ?? [];
	const disk = (op: string) => disks.filter((d) => d.op.toLowerCase() === op).reduce((n, d) => n + d.value, 0);
	return {
		at: Date.parse(raw.read),
		received: nets.reduce((n, net) => n + net.rx_bytes, 0),
		sent: nets.reduce((n, net) => n + net.tx_bytes, 0),
		read: disk("read"),
		written: disk("write"),
	};
}

function cpuOf({ cpu_stats: now, precpu_stats: before }: RawStats): number {
	const used = (now.cpu_usage?.total_usage ?? 0) - (before.cpu_usage?.total_usage ?? 0);
	const whole = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
	if (!before.system_cpu_usage || whole <= 0 || used < 0) return 0;
	return (used / whole) * (now.online_cpus || now.cpu_usage?.percpu_usage?.length || 1) * 100;
}

/** Memory without what the kernel only keeps in case it is read again. */
function memoryOf({ memory_stats: { usage = 0, stats = {} } }: RawStats): number {
	const cache = stats["total_inactive_file"] ?? stats["inactive_file"] ?? 0;
	return cache < usage ? usage - cache : usage;
}
