// Commands as people type them, and as argument lists.

/** Splits a command line into words as a shell does: quotes and backslashes, and nothing else. */
export function splitWords(line: string): string[] {
	const words: string[] = [];
	let word: string | null = null;
	let quote = "";
	for (let i = 0; i < line.length; i++) {
		const c = line[i]!;
		if (quote === "'") {
			if (c === "'") quote = "";
			else word += c;
		} else if (c === "\\" && (quote === "" || '"\\$`'.includes(line[i + 1] ?? " "))) {
			i++;
			word = (word ?? "") + (line[i] ?? "");
		} else if (quote !== "") {
			if (c === quote) quote = "";
			else word += c;
		} else if (c === "'" || c === '"') {
			quote = c;
			word ??= "";
		} else if (/\s/.test(c)) {
			if (word !== null) words.push(word);
			word = null;
		} else {
			word = (word ?? "") + c;
		}
	}
	if (quote !== "") throw new Error(quote);
	if (word !== null) words.push(word);
	return words;
}

/** An argument list on one line. */
export function joinWords(words: readonly string[] | null | undefined): string {
	return (words ?? []).map((w) => (/^[\w@%+=:,./-]+$/.test(w) ? w : `'${w.replaceAll("'", `'\\''`)}'`)).join(" ");
}
