// Requests to moorgate. All addresses are relative to the page's.

/** Why a request failed, in the server's own words. */
export interface Failure {
	/** The HTTP status; 0 where no answer came. */
	status: number;
	message: string;
	hint?: string;
	/** Names the request in the server's log. */
	requestId?: string;
	/** What a browser may log in with, where that is what it lacks. */
	login?: string[];
}

export class RequestError extends Error {
	constructor(readonly failure: Failure) {
		super(failure.message);
	}
}

/** The failure behind anything that was thrown. */
export function failureOf(thrown: unknown): Failure {
	if (thrown instanceof RequestError) return thrown.failure;
	return { status: 0, message: thrown instanceof Error ? thrown.message : String(thrown) };
}

let whenLoggedOut: (failure: Failure) => void = () => {};

/** Sets what is done when the server does not know this browser any more. */
export function onLoggedOut(what: (failure: Failure) => void): void {
	whenLoggedOut = what;
}

export interface Ask {
	method?: string;
	body?: unknown;
	signal?: AbortSignal;
	/** A login answers 401 as well, without having been logged in. */
	login?: boolean;
}

/** Asks, and gives the answer whatever body it has; rejects with a RequestError. */
export async function ask(path: string, { method = "GET", body, signal, login }: Ask = {}): Promise<Response> {
	let answer: Response;
	try {
		answer = await fetch(path, {
			method,
			signal: signal ?? null,
			credentials: "same-origin",
			redirect: "error",
			...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
		});
	} catch (err) {
		if (signal?.aborted) throw err;
		throw new RequestError({ status: 0, message: "" });
	}
	if (answer.ok || answer.status === 304) return answer;
	const failure = await readFailure(answer);
	if (answer.status === 401 && !login) whenLoggedOut(failure);
	throw new RequestError(failure);
}

export async function askJSON<T>(path: string, options?: Ask): Promise<T> {
	const answer = await ask(path, options);
	return (await answer.json()) as T;
}

async function readFailure(answer: Response): Promise<Failure> {
	const failure: Failure = { status: answer.status, message: `${answer.status} ${answer.statusText}` };
	const id = answer.headers.get("Moorgate-Request-Id");
	if (id) failure.requestId = id;
	try {
		const body = (await answer.json()) as { message?: unknown; hint?: unknown; login?: unknown };
		if (typeof body.message === "string" && body.message) failure.message = body.message;
		if (typeof body.hint === "string") failure.hint = body.hint;
		if (Array.isArray(body.login)) failure.login = body.login.filter((l) => typeof l === "string");
	} catch {
		// A proxy in front answered, in words of its own.
	}
	return failure;
}

/** Reads a body line by line, as long as it flows. */
export async function* linesOf(answer: Response): AsyncGenerator<string> {
	const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const { done, value } = await reader.read();
		if (done) break;
		const lines = (rest + value).split("\n");
		rest = lines.pop()!;
		yield* lines;
	}
	if (rest) yield rest;
}
