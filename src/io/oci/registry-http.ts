/**
 * Single requests over HTTP to registries and where they redirect to, with the proxies and certificates that
 * container tools use.
 */
import { readdir, readFile } from "node:fs/promises";
import { Agent as HttpAgent, type IncomingMessage, type RequestOptions, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { join } from "node:path";
import * as tls from "node:tls";
import { JSON_LIMIT } from "../../oci/schemas.ts";
import type { Environment } from "../exec.ts";

/** Milliseconds without a word. */
const SILENCE = 30_000;

export interface HttpQuestion {
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What came back, whatever the status. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: Uint8Array;
  /** A header, by its name in lower case; the empty text where it is missing. */
  readonly header: (name: string) => string;
}

/**
 * Sends one request. Redirects are answers like others.
 * @param insecure whether any certificate will do
 * @throws Error when there is no answer, or one without an end
 */
export async function sendRequest(
  url: URL,
  { method, headers, body }: HttpQuestion,
  { env, insecure }: { readonly env: Environment; readonly insecure: boolean },
): Promise<HttpAnswer> {
  const isPlain = url.protocol === "http:";
  // Proxies are node's business (24.5 and newer), by the variables that skopeo uses too.
  const proxyEnv = { ...env };
  const trust = insecure ? { rejectUnauthorized: false } : { ca: await trustedBy(url.host, env["HOME"]) };
  const options: RequestOptions = {
    method,
    headers: { ...headers, "user-agent": "seal" },
    timeout: SILENCE,
    agent: isPlain ? new HttpAgent({ proxyEnv }) : new HttpsAgent({ proxyEnv, ...trust }),
  };
  const response = await new Promise<IncomingMessage>((done, fail) => {
    const sent = (isPlain ? requestHttp : requestHttps)(url, options, done);
    sent.once("error", fail);
    sent.once("timeout", () => sent.destroy(new Error(`no answer for ${SILENCE / 1000} seconds`)));
    sent.end(body);
  });
  return {
    status: response.statusCode ?? 0,
    body: await limitedBody(response),
    header: (name) => [response.headers[name] ?? ""].flat().join(", "),
  };
}

async function limitedBody(response: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > JSON_LIMIT) throw new Error(`the answer has more than ${JSON_LIMIT} bytes`);
  }
  return Buffer.concat(chunks);
}

/**
 * The certificates of node, those of this machine, and those that container tools have for a registry
 * (containers-certs.d(5)).
 */
async function trustedBy(host: string, home = ""): Promise<string[]> {
  // Node has this since 22.15.
  const stored: typeof tls.getCACertificates | undefined = tls.getCACertificates;
  const trusted = stored === undefined ? [...tls.rootCertificates] : [...stored("default"), ...stored("system")];
  for (const directory of [join(home, ".config/containers"), "/etc/containers", "/etc/docker"]) {
    const path = join(directory, "certs.d", host);
    for (const name of await readdir(path).catch(() => [])) {
      if (name.endsWith(".crt")) trusted.push(await readFile(join(path, name), "latin1"));
    }
  }
  return trusted;
}
