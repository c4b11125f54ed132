/**
 * Asks a registry for documents (OCI distribution specification 1.1) that skopeo has no command for: what refers to an
 * image. It only reads; images, and all that is pushed, go through skopeo.
 */
import { SealError } from "../../errors.ts";
import { type Challenge, type Login, parseChallenge, parseToken } from "../../oci/registry-auth.ts";
import { type HttpAnswer, type HttpQuestion, sendRequest } from "./registry-http.ts";
import { loginFor, withoutTls } from "./registry-login.ts";
import { type SkopeoOptions, withWayOut } from "./skopeo.ts";

/** Places that an answer leads to, one after the other. */
const REDIRECTS = 5;

/** What a registry answers, whatever the status. */
export interface RegistryAnswer {
  readonly status: number;
  readonly mediaType: string;
  readonly body: Uint8Array;
  /** Where the next page is; null: this is the last one. */
  readonly next: string | null;
}

/** One repository, for one run of the program. */
export class RegistryClient {
  readonly #repository: string;
  readonly #host: string;
  readonly #path: string;
  readonly #options: SkopeoOptions;
  #scheme: "https:" | "http:" = "https:";
  #authorization: string | null = null;
  #withoutTls: Promise<boolean> | null = null;

  /** @param repository with its registry, as `parseReference` has it: `docker.io/library/debian` */
  constructor(repository: string, options: SkopeoOptions) {
    const [host = "", ...path] = repository.split("/");
    this.#repository = repository;
    // Docker Hub's registry has another name than its images.
    this.#host = host === "docker.io" ? "registry-1.docker.io" : host;
    this.#path = path.join("/");
    this.#options = options;
  }

  /**
   * Asks for a document of the repository.
   * @param path in the repository, `manifests/1`; or what {@link RegistryAnswer.next} says
   * @param accept media type to request
   * @throws SealError `external` when there is no answer, or none without another login; `input` for a file with
   *   logins that is damaged
   */
  async get(path: string, accept: string): Promise<RegistryAnswer> {
    const url = path.startsWith("/") ? path : `/v2/${this.#path}/${path}`;
    let answer = await this.#ask(url, accept);
    if (answer.status === 401) {
      this.#authorization = await this.#authorize(answer.header("www-authenticate"));
      if (this.#authorization !== null) answer = await this.#ask(url, accept);
    }
    const { status, body, header } = answer;
    if (status === 401 || status === 403) throw this.#failed(`denied (status: ${status})`);
    if (status === 429 || status >= 500) throw this.#failed(`it is not available now (status: ${status})`);
    return {
      status,
      body,
      mediaType: header("content-type").replace(/\s*;.*/s, ""),
      next: this.#nextPath(header("link")),
    };
  }

  /** @returns the header's value; null: there is no login */
  async #authorize(header: string): Promise<string | null> {
    const challenge = parseChallenge(header);
    const login = await loginFor(this.#repository, this.#options);
    switch (challenge?.kind) {
      case "bearer":
        return this.#token(challenge, login);
      case "basic":
        return login?.kind === "password" ? basic(login) : null;
      default:
        throw this.#failed(`it requires an authentication scheme that seal does not support (${header})`);
    }
  }

  /** distribution, "Token Authentication Specification"; with an identity token "Oauth2 Token Authentication". */
  async #token({ realm, parameters }: Challenge & { kind: "bearer" }, login: Login | null): Promise<string> {
    const url = URL.canParse(realm) ? new URL(realm) : null;
    if (url === null || !this.#isSafe(url))
      throw this.#failed(`its token service is not a safe address: ${JSON.stringify(realm)}`);
    const { service = "", scope = `repository:${this.#path}:pull` } = parameters;
    const asked = { ...(service === "" ? {} : { service }), scope };
    const { status, body } = await this.#send(url, tokenQuestion(url, asked, login));
    const token = status === 200 ? parseToken(body) : null;
    if (token === null) throw this.#failed(`${url.host} issued no token: denied (status: ${status})`);
    return `Bearer ${token}`;
  }

  async #ask(path: string, accept: string): Promise<HttpAnswer> {
    const insecure = await this.#insecure();
    const start = new URL(path, `${this.#scheme}//${this.#host}`);
    let url = start;
    for (let count = 0; ; count++) {
      // A login is for the registry only, not for where it redirects to.
      const authorization = url.origin === start.origin ? this.#authorization : null;
      const headers = { accept, ...(authorization === null ? {} : { authorization }) };
      const answer = await this.#send(url, { method: "GET", headers }).catch((error: unknown) => {
        // As skopeo does: who takes any certificate takes none too.
        if (!insecure || this.#scheme === "http:") throw error;
        this.#scheme = "http:";
        return null;
      });
      if (answer === null) return this.#ask(path, accept);
      const location = answer.header("location");
      if (answer.status < 300 || answer.status >= 400 || location === "") return answer;
      const next = URL.canParse(location, url.href) ? new URL(location, url) : null;
      if (next === null || count === REDIRECTS || !this.#isSafe(next))
        throw this.#failed(`it redirects to ${location}`);
      url = next;
    }
  }

  /** What a header `Link` names as next (RFC 8288), where it is of the same registry. */
  #nextPath(link: string): string | null {
    const own = `${this.#scheme}//${this.#host}`;
    const target = /<([^>]*)>[^,]*;\s*rel="?next"?/i.exec(link)?.[1] ?? "";
    if (target === "" || !URL.canParse(target, own)) return null;
    const { host, pathname, search } = new URL(target, own);
    return host === this.#host ? `${pathname}${search}` : null;
  }

  #insecure(): Promise<boolean> {
    this.#withoutTls ??= withoutTls(this.#repository, this.#options);
    return this.#withoutTls;
  }

  #isSafe({ protocol }: URL): boolean {
    return protocol === "https:" || protocol === this.#scheme;
  }

  async #send(url: URL, question: HttpQuestion): Promise<HttpAnswer> {
    try {
      return await sendRequest(url, question, { env: this.#options.env, insecure: await this.#insecure() });
    } catch (error) {
      throw this.#failed(reasonIn(error), error);
    }
  }

  #failed(reason: string, cause?: unknown): SealError {
    const subject = `docker://${this.#repository}`;
    const said = `${subject}: can't list what refers to an image: ${withWayOut(reason, subject)}`;
    return new SealError("external", said, cause === undefined ? undefined : { cause });
  }
}

function tokenQuestion(url: URL, asked: Readonly<Record<string, string>>, login: Login | null): HttpQuestion {
  if (login?.kind === "identity") {
    const form = { ...asked, grant_type: "refresh_token", client_id: "seal", refresh_token: login.token };
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return { method: "POST", headers, body: new URLSearchParams(form).toString() };
  }
  for (const [key, value] of Object.entries(asked)) url.searchParams.set(key, value);
  return { method: "GET", headers: login === null ? {} : { authorization: basic(login) } };
}

function basic({ name, password }: Login & { kind: "password" }): string {
  return `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;
}

function reasonIn(error: unknown): string {
  // Each of several addresses that were tried has its own error.
  const one: unknown = error instanceof AggregateError ? error.errors[0] : error;
  if (!(one instanceof Error)) return "no answer";
  const code = "code" in one ? String(one.code) : "";
  if (code === "EPROTO") return "tls: it does not speak HTTPS";
  return /CERT|SELF_SIGNED|UNABLE_TO/.test(code) ? `tls: ${one.message}` : one.message;
}
