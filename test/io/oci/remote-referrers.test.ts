/** Lists of referrers, as registries should not give them. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { RemoteImages } from "../../../src/io/oci/remote-images.ts";
import { copyReferrers } from "../../../src/io/oci/remote-referrers.ts";
import { tempDir } from "../../support/temp.ts";

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const DIGEST = { algorithm: "sha256", hex: "ab".repeat(32) } as const;
const TYPE = "application/x.test";

interface Page {
  readonly status?: number;
  readonly type?: string;
  readonly body?: unknown;
  readonly next?: string;
}

/** What `copyReferrers` makes of a registry that answers in this way. @param page of a path in the repository */
async function referrers(page: (path: string) => Page): Promise<string | null> {
  const server = createServer(({ url = "" }, response) => {
    const { status = 200, type = INDEX, body = { schemaVersion: 2, manifests: [] }, next } = page(url.slice(7));
    const link = next === undefined ? {} : { link: `<${next}>; rel="next"` };
    response.writeHead(status, { "content-type": type, ...link });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const cwd = tempDir();
  const remote = new RemoteImages({ cwd, env: { TMPDIR: cwd, PATH: cwd }, access: { tlsVerify: false } });
  onTestFinished(() => remote.close());
  const reference = `docker://127.0.0.1:${(server.address() as AddressInfo).port}/os:1`;
  return copyReferrers(remote, reference, { digest: DIGEST, artifactType: TYPE });
}

function entry(index: number, artifactType: string | undefined): unknown {
  const digest = `sha256:${index.toString(16).padStart(64, "0")}`;
  return { mediaType: MANIFEST, digest, size: 2, artifactType };
}

function list(count: number, artifactType: string | undefined): unknown {
  return { schemaVersion: 2, manifests: Array.from({ length: count }, (_, index) => entry(index, artifactType)) };
}

it("are empty where nothing refers to the image, with the API and without", async () => {
  expect(await referrers(() => ({}))).toBeNull();
  expect(await referrers(() => ({ status: 404, type: "text/html", body: "none" }))).toBeNull();
  // Of other types nothing is fetched.
  expect(await referrers(() => ({ body: list(200, "application/spdx+json") }))).toBeNull();
});

it("are read to their end, and asked for at the tag where there is no API", async () => {
  const asked: string[] = [];
  const paged = (path: string): Page => {
    asked.push(path);
    return path.includes("?") ? { body: list(1, TYPE) } : { next: `/v2/os/${path}?page=2` };
  };
  // Without skopeo the first of them can't be fetched; that there is one was on the second page.
  await expect(referrers(paged)).rejects.toThrow(/needs skopeo/);
  expect(asked).toEqual([`referrers/sha256:${DIGEST.hex}`, `referrers/sha256:${DIGEST.hex}?page=2`]);
  for (const other of [{ status: 404 }, { status: 405, body: "" }, { type: "text/html", body: "<p>hello" }]) {
    const tagged = (path: string): Page => (path.startsWith("manifests/") ? { body: list(1, undefined) } : other);
    await expect(referrers(tagged)).rejects.toThrow(/needs skopeo/);
  }
});

it.each<[string, (path: string) => Page, RegExp]>([
  ["without an end", (path) => ({ next: `/v2/os/${path}` }), /: is an endless list$/],
  [
    "cut off",
    (path) => (path.includes("?") ? { status: 404 } : { next: "/v2/os/x?2" }),
    /: is cut off \(status: 404\)$/,
  ],
  ["too long", () => ({ body: list(4097, "application/spdx+json") }), /: is too long a list; give the bundles/],
  [
    "of too many",
    () => ({ body: list(257, TYPE) }),
    /os:1: 257 artifacts refer to the image, too many; give the bundles/,
  ],
  ["that are no JSON", () => ({ body: "[" }), /: is not valid JSON; expected an image index$/],
  [
    "of something else",
    () => ({ body: { schemaVersion: 2, manifests: [{ digest: "x" }] } }),
    /is not an image index: /,
  ],
  [
    "in place of which an image stands",
    (path) => (path.startsWith("manifests/") ? { type: MANIFEST, body: "{}" } : { status: 404 }),
    /: should be an index at the tag sha256-(?:ab)+, which is something else \(status: 200, \S+\); .*Delete that tag$/,
  ],
  ["behind a fault", () => ({ status: 500 }), /: it is not available now \(status: 500\)$/],
])("%s are refused in one line", async (_, page, message) => {
  await expect(referrers(page)).rejects.toThrow(message);
});
