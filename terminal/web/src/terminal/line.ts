// What a kernel does for a process with a TTY, for one that has none: echo,
// erase, and whole lines.

export interface LineTarget {
	echo: (text: string) => void;
	send: (text: string) => void;
	eof: () => void;
	signal: (name: string) => void;
}

export class LineEditor {
	private line = "";

	constructor(private readonly target: LineTarget) {}

	/** Takes what the keyboard gave. */
	type(data: string): void {
		if (data.startsWith("\x1b")) {
			const pasted = /^\x1b\[200~([\s\S]*)\x1b\[201~$/.exec(data);
			if (!pasted) return; // arrow keys have no meaning here
			data = pasted[1]!;
		}
		for (const c of data.replaceAll("\r\n", "\r")) this.key(c);
	}

	private key(c: string): void {
		const { echo, send, eof, signal } = this.target;
		switch (c) {
			case "\r":
			case "\n":
				echo("\r\n");
				send(this.line + "\n");
				this.line = "";
				break;
			case "\x7f":
			case "\b": {
				const last = Array.from(this.line).pop();
				if (last === undefined) break;
				this.line = this.line.slice(0, -last.length);
				echo(isWide(last) ? "\b\b  \b\b" : "\b \b");
				break;
			}
			case "\x15": // ^U
				echo("\b \b".repeat(Array.from(this.line).reduce((n, ch) => n + (isWide(ch) ? 2 : 1), 0)));
				this.line = "";
				break;
			case "\x03":
				echo("^C\r\n");
				this.line = "";
				signal("INT");
				break;
			case "\x1c":
				echo("^\\\r\n");
				this.line = "";
				signal("QUIT");
				break;
			case "\x04":
				if (this.line) send(this.line);
				else eof();
				this.line = "";
				break;
			default:
				if (c < " " && c !== "\t") break;
				this.line += c;
				echo(c);
		}
	}
}

const isWide = (c: string) => /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u.test(c);
