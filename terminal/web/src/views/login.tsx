import { useEffect, useRef, useState } from "preact/hooks";
import { enterAs, enter } from "../data/app";
import { useCell } from "../data/cell";
import { failureOf, type Failure } from "../data/http";
import { logIn, type Credentials } from "../data/server";
import { Mark } from "../parts/icon";
import { Problem } from "../parts/problem";
import { language, speak, t } from "../text";

/** failure says why nobody is logged in, and what may be logged in with. */
export function Login({ failure }: { failure: Failure }) {
	useCell(language);
	const ways = failure.login ?? [];
	const [user, setUser] = useState("");
	const [password, setPassword] = useState("");
	const [token, setToken] = useState("");
	const [way, setWay] = useState<"password" | "token">(ways.includes("password") ? "password" : "token");
	const [busy, setBusy] = useState(false);
	const [refused, setRefused] = useState<Failure | null>(linkFailure);
	const first = useRef<HTMLInputElement>(null);
	const secret = useRef<HTMLInputElement>(null);
	useEffect(() => first.current?.focus(), [way]);

	const submit = async (e: Event) => {
		e.preventDefault();
		setBusy(true);
		setRefused(null);
		const credentials: Credentials = way === "password" ? { user, password } : { token: token.trim() };
		try {
			enterAs(await logIn(credentials));
		} catch (err) {
			setRefused({ hint: "", ...failureOf(err) });
			setBusy(false);
			(secret.current ?? first.current)?.select();
		}
	};
	const typed = ways.includes("password") || ways.includes("token");
	const away = failure.status !== 401;
	return (
		<main class="login" data-test="login">
			<div class="login-box">
				<div class="brand">
					<Mark />
					<h1>moorgate</h1>
				</div>
				{refused && <Problem what={t("login.refused")} failure={refused} />}
				{away ? (
					<Problem what={t("failed.me")} failure={failure}>
						<button type="button" class="button" onClick={() => void enter()}>{t("try.again")}</button>
					</Problem>
				) : (
					<form onSubmit={submit}>
						{ways.includes("password") && ways.includes("token") && (
							<div class="segments" role="radiogroup" aria-label={t("login.with")}>
								{(["password", "token"] as const).map((w) => (
									<button key={w} type="button" role="radio" aria-checked={way === w} style="flex:1" onClick={() => setWay(w)} data-test={`with-${w}`}>
										{t(`login.${w}`)}
									</button>
								))}
							</div>
						)}
						{typed && way === "password" && (
							<>
								<label class="field">
									<span class="label">{t("login.user")}</span>
									<input ref={first} class="input" name="user" autocomplete="username" autocapitalize="none" spellcheck={false} required value={user} onInput={(e) => setUser(e.currentTarget.value)} />
								</label>
								<label class="field">
									<span class="label">{t("login.password")}</span>
									<input ref={secret} class="input" name="password" type="password" autocomplete="current-password" required value={password} onInput={(e) => setPassword(e.currentTarget.value)} />
								</label>
							</>
						)}
						{typed && way === "token" && (
							<label class="field">
								<span class="label">{t("login.token")}</span>
								<input ref={first} class="input mono" name="token" type="password" autocomplete="off" spellcheck={false} required value={token} onInput={(e) => setToken(e.currentTarget.value)} />
								<span class="hint">{t("login.token.hint")}</span>
							</label>
						)}
						{typed && (
							<button type="submit" class="button primary" disabled={busy} data-test="sign-in">
								{busy ? t("login.busy") : t("login.enter")}
							</button>
						)}
						{ways.includes("oidc") && (
							<>
								{typed && <div class="or">{t("login.or")}</div>}
								<a class="button" style="text-decoration:none" href="login/oidc" data-test="oidc">{t("login.oidc")}</a>
							</>
						)}
						{!typed && !ways.includes("oidc") && <p>{t(ways.includes("code") ? "login.link" : "login.none")}</p>}
					</form>
				)}
				<div class="login-foot">
					<span />
					{language.value === "en" ? (
						<button type="button" class="link-button" lang="zh-Hans" onClick={() => void speak("zh", true)}>简体中文</button>
					) : (
						<button type="button" class="link-button" lang="en" onClick={() => void speak("en", true)}>English</button>
					)}
				</div>
			</div>
		</main>
	);
}

let linkFailure: Failure | null = null;

/**
 * Reads what the page's address carries behind #, which no server sees, and
 * takes it out: a code to log in with, or why logging in elsewhere failed.
 * Gives the session of a shared link.
 */
export async function readAddress(): Promise<string | null> {
	const parts = new URLSearchParams(location.hash.slice(1));
	const code = parts.get("code");
	const error = parts.get("error");
	if (location.hash) history.replaceState(null, "", location.pathname + location.search);
	if (error) linkFailure = { status: 401, message: error, hint: "" };
	if (code) {
		try {
			await logIn({ code });
		} catch (err) {
			linkFailure = { hint: "", ...failureOf(err) };
		}
	}
	return parts.get("watch");
}
