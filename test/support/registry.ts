/**
 * A registry that serves an OCI image layout over plain HTTP on the loopback interface (OCI distribution
 * specification, "Pull").
 */
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Registry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Paths that were asked for. */
  readonly requests: readonly string[];
}

/**
 * Serves until the test ends; all names are that of the one repository.
 * @param onBlob called for each blob; what it answers is waited for
 */
export async function serveLayout(layout: string, onBlob: (digest: string) => Promise<void> = async () => {}) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? "");
    answer(layout, request, response, onBlob).catch((error: unknown) => response.destroy(error as Error));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const registry: Registry = { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
  return registry;
}

/**
 * A registry that lets itself be found, and then says nothing any more, until the test ends.
 * @param onRequest called for each request that gets no answer
 * @returns `127.0.0.1:PORT`
 */
export async function silentRegistry(onRequest: () => void): Promise<string> {
  const server = createServer(({ url }, response) => {
    if (url === "/v2/") response.end("{}");
    else onRequest();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function answer(
  layout: string,
  { url = "", method }: IncomingMessage,
  response: ServerResponse,
  onBlob: (digest: string) => Promise<void>,
): Promise<void> {
  const [, kind, reference = ""] = /^\/v2\/.+\/(manifests|blobs)\/([\w.:+-]+)$/.exec(url) ?? [];
  if (url === "/v2/") return void response.end("{}");
  const found =
    kind === "manifests"
      ? findManifest(layout, reference)
      : { digest: reference, mediaType: "application/octet-stream" };
  const file = join(layout, "blobs", (found?.digest ?? "").replace(":", "/"));
  if (kind === undefined || found === null || !existsSync(file)) {
    response.writeHead(404, { "content-type": "application/json" });
    return void response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not here"}]}');
  }
  response.writeHead(200, {
    "content-type": found.mediaType,
    "content-length": statSync(file).size,
    "docker-content-digest": found.digest,
  });
  if (method === "HEAD") return void response.end();
  if (kind === "blobs") {
    response.flushHeaders();
    await onBlob(reference);
  }
  createReadStream(file).pipe(response);
}

/** A manifest or index: by tag out of `index.json`, by digest out of the blobs. */
function findManifest(layout: string, reference: string): Descriptor | null {
  const index = JSON.parse(readFileSync(join(layout, "index.json"), "utf8")) as { manifests: Descriptor[] };
  const tagged = index.manifests.find(
    ({ annotations, digest }) =>
      annotations?.["org.opencontainers.image.ref.name"] === reference || digest === reference,
  );
  const file = join(layout, "blobs", reference.replace(":", "/"));
  if (tagged !== undefined || !reference.includes(":") || !existsSync(file)) return tagged ?? null;
  return { digest: reference, mediaType: (JSON.parse(readFileSync(file, "utf8")) as Descriptor).mediaType };
}
