/**
 * How a registry asks who is there, and which login answers it: challenges (RFC 9110, 11.3; distribution, "Token
 * Authentication Specification"), and files with logins (containers-auth.json(5); the same form that docker keeps).
 */
import { z } from "zod";
import { inputError } from "../errors.ts";

/** What a registry wants. */
export type Challenge =
  | { readonly kind: "basic" }
  /** A token, which is got elsewhere. */
  | { readonly kind: "bearer"; readonly realm: string; readonly parameters: Readonly<Record<string, string>> };

/** @param header `WWW-Authenticate` @returns null for what is neither of the two, or lacks a realm */
export function parseChallenge(header: string): Challenge | null {
  const [, scheme = "", rest = ""] = /^\s*(\S+)(?:\s+(.*))?$/s.exec(header) ?? [];
  if (scheme.toLowerCase() === "basic") return { kind: "basic" };
  if (scheme.toLowerCase() !== "bearer") return null;
  const found = [...rest.matchAll(/([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))/g)];
  const { realm, ...parameters } = Object.fromEntries(
    found.map(([, name = "", quoted, bare = ""]) => [name.toLowerCase(), quoted?.replace(/\\(.)/g, "$1") ?? bare]),
  );
  return realm === undefined ? null : { kind: "bearer", realm, parameters };
}

export type Login =
  | { readonly kind: "password"; readonly name: string; readonly password: string }
  /** A refresh token of OAuth 2, in place of a password. */
  | { readonly kind: "identity"; readonly token: string };

/** Where a login is. */
export type LoginPlace =
  | { readonly kind: "here"; readonly login: Login }
  /** A program `docker-credential-NAME` knows it. */
  | { readonly kind: "helper"; readonly name: string; readonly server: string };

const entry = z.object({ auth: z.string().optional(), identitytoken: z.string().optional() });

const schema = z.object({
  auths: z.record(z.string(), entry.nullable()).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});
export type Logins = z.infer<typeof schema>;

/** @throws SealError `input` for a file that does not hold logins */
export function parseLogins(bytes: Uint8Array, subject: string): Logins {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    // The error would quote the file, in which there are passwords.
    throw inputError(subject, "is not valid JSON; skopeo login --authfile FILE HOST writes a credentials file");
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw inputError(subject, "is not a credentials file; skopeo login --authfile FILE HOST writes one");
}

/** What Docker Hub is called in files with logins. */
const HUB = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/**
 * The login for a repository: a helper for its registry, else the entry that says most of its name.
 * @param repository with its registry: `ghcr.io/me/os`
 * @returns null: none
 */
export function findLogin(logins: Logins, repository: string): LoginPlace | null {
  const parts = repository.split("/");
  const [host = ""] = parts;
  const hosts = host === "docker.io" ? HUB : [host];
  const helper = Object.entries(logins.credHelpers ?? {}).find(([key]) => hosts.includes(hostOf(key)));
  const server = host === "docker.io" ? "https://index.docker.io/v1/" : host;
  if (helper !== undefined) return { kind: "helper", name: helper[1], server };
  const names = parts.map((_, index) => parts.slice(0, parts.length - index).join("/"));
  const entries = Object.entries(logins.auths ?? {});
  const found =
    names.map((name) => entries.find(([key]) => key === name)).find((one) => one !== undefined) ??
    entries.find(([key]) => /^https?:|\/v[12]\/?$/.test(key) && hosts.includes(hostOf(key))) ??
    entries.find(([key]) => hosts.includes(key));
  const login = loginOf(found?.[1] ?? null);
  if (login !== null) return { kind: "here", login };
  const store = logins.credsStore ?? "";
  return store === "" ? null : { kind: "helper", name: store, server };
}

/** Docker writes whole URLs. */
function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, "").replace(/\/.*$/s, "");
}

function loginOf(found: z.infer<typeof entry> | null): Login | null {
  const { auth = "", identitytoken = "" } = found ?? {};
  if (identitytoken !== "") return { kind: "identity", token: identitytoken };
  const [, name, password = ""] = /^([^:]+):(.*?)\0*$/s.exec(Buffer.from(auth, "base64").toString()) ?? [];
  return name === undefined ? null : { kind: "password", name, password };
}

const answer = z.object({ Username: z.string(), Secret: z.string() });

/** What a helper answers (docker-credential-helpers, "get"). @returns null for anything else */
export function parseHelperAnswer(bytes: Uint8Array): Login | null {
  try {
    const { Username: name, Secret: secret } = answer.parse(JSON.parse(Buffer.from(bytes).toString()));
    if (name === "<token>") return { kind: "identity", token: secret };
    return { kind: "password", name, password: secret };
  } catch {
    return null;
  }
}

const tokenAnswer = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/** The token in the answer of a token service. @returns null when there is none */
export function parseToken(bytes: Uint8Array): string | null {
  try {
    const { token, access_token } = tokenAnswer.parse(JSON.parse(Buffer.from(bytes).toString()));
    return token || access_token || null;
  } catch {
    return null;
  }
}
