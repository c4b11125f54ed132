/** A sealed image, keys to attest it with, and attestations as their parts, to be changed and put together again. */
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { seal } from "./cli.ts";
import { SIGNING } from "./inputs.ts";
import { writeLayout } from "./layout.ts";
import { sealableLayers } from "./sealable.ts";
import { tempDir } from "./temp.ts";
import { vector } from "./vectors.ts";

export const PLATFORM = ["--platform", "linux/amd64"];

/** Writes a key pair as NAME.key and NAME.pub. */
export function writeKeyPair(
  cwd: string,
  name: string,
  kind: "P-256" | "P-384" | "P-521" | "RSA" = "P-256",
): KeyObject {
  const { privateKey } =
    kind === "RSA"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve: kind });
  writeFileSync(join(cwd, `${name}.key`), privateKey.export({ type: "pkcs8", format: "pem" }));
  writeFileSync(join(cwd, `${name}.pub`), createPublicKey(privateKey).export({ type: "spki", format: "pem" }));
  return privateKey;
}

/**
 * A directory with the sealed image `oci:image:1`, the keys `db` that it is signed with, and `attest`
 * and `other`, EC keys.
 */
export async function attestLab(): Promise<{ readonly cwd: string; readonly key: KeyObject; readonly digest: string }> {
  const cwd = tempDir();
  writeLayout(join(cwd, "in"), sealableLayers(), { tag: "1" });
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  const key = writeKeyPair(cwd, "attest");
  writeKeyPair(cwd, "other");
  await ok(["image", "--from", "oci:in:1", "--to", "oci:image:1", ...SIGNING, ...PLATFORM], cwd);
  return { cwd, key, digest: entryOf(cwd, "image", "1").digest };
}

export async function ok(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { code, stdout, stderr } = await seal(args, { cwd, env });
  expect(code, stderr + stdout).toBe(0);
  return stdout;
}

interface Entry {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export function readIndex(cwd: string, layout: string): { manifests: Entry[] } {
  return JSON.parse(readFileSync(join(cwd, layout, "index.json"), "utf8"));
}

export function entryOf(cwd: string, layout: string, tag: string): Entry {
  const { manifests } = readIndex(cwd, layout);
  const entry = manifests.find((one) => one.annotations?.["org.opencontainers.image.ref.name"] === tag);
  if (entry === undefined) throw new Error(`no image ${tag}`);
  return entry;
}

export function readBlob(cwd: string, layout: string, digest: string): Buffer {
  return readFileSync(join(cwd, layout, "blobs", digest.replace(":", "/")));
}

/** Writes a blob and gives its digest and size. */
export function writeBlob(cwd: string, layout: string, bytes: Uint8Array): { digest: string; size: number } {
  const hex = createHash("sha256").update(bytes).digest("hex");
  mkdirSync(join(cwd, layout, "blobs/sha256"), { recursive: true });
  writeFileSync(join(cwd, layout, "blobs/sha256", hex), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
}

// biome-ignore lint/suspicious/noExplicitAny: documents are changed in every place
export type Document = any;

/** A bundle, and the statement in it. */
export interface Parts {
  bundle: Document;
  statement: Document;
}

export function parseParts(bytes: Uint8Array): Parts {
  const bundle = JSON.parse(Buffer.from(bytes).toString());
  return { bundle, statement: JSON.parse(Buffer.from(bundle.dsseEnvelope.payload, "base64").toString()) };
}

/** What DSSE has signed for a payload, written down a second time (protocol 1.0.2). */
export function encodePae(type: string, payload: Uint8Array): Buffer {
  const head = Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `);
  return Buffer.concat([head, payload]);
}

/** A bundle with a good signature over another statement. */
export function signAgain({ bundle, statement }: Parts, key: KeyObject): Uint8Array {
  const payload = Buffer.from(typeof statement === "string" ? statement : JSON.stringify(statement));
  const copy = structuredClone(bundle);
  copy.dsseEnvelope.payload = payload.toString("base64");
  copy.dsseEnvelope.signatures[0].sig = sign("sha256", encodePae(copy.dsseEnvelope.payloadType, payload), key).toString(
    "base64",
  );
  return Buffer.from(JSON.stringify(copy));
}
