import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { verifyAttestationReportSchema } from "../../../src/cli/attest/verify.ts";
import {
  attestLab,
  type Document,
  ok,
  parseParts,
  readBlob,
  readIndex,
  signAgain,
  writeBlob,
} from "../../support/attest-lab.ts";
import { seal } from "../../support/cli.ts";

type Path = readonly (string | number)[];

/** All places in a document: each value, and each array and object. */
function* places(value: Document, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path;
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) yield* places(value[key], [...path, Array.isArray(value) ? Number(key) : key]);
}

function at(document: Document, path: Path): Document {
  return path.reduce((value, key) => value[key], document);
}

/** The document with another value at a place; null where that is not a value. */
function changed(document: Document, path: Path): Document | null {
  const copy = structuredClone(document);
  const parent = at(copy, path.slice(0, -1));
  const key = path.at(-1) ?? "";
  const value = parent[key];
  if (typeof value === "object" && value !== null) return null;
  // Digests stay digests; anything else becomes what nobody would write.
  if (typeof value === "string" && /^[0-9a-f]{40,}$/.test(value)) {
    parent[key] = `${value.slice(0, -1)}${value.endsWith("1") ? "0" : "1"}`;
  } else if (typeof value === "string") parent[key] = `${value.slice(0, -1)}x`;
  else if (typeof value === "number") parent[key] = value + 1;
  else parent[key] = value === null ? "1" : !value;
  return copy;
}

function without(document: Document, path: Path): Document {
  const copy = structuredClone(document);
  const parent = at(copy, path.slice(0, -1));
  const key = path.at(-1) ?? "";
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
  return copy;
}

function withMore(document: Document, path: Path): Document | null {
  const copy = structuredClone(document);
  const value = at(copy, path);
  if (typeof value !== "object" || value === null) return null;
  if (Array.isArray(value)) value.push(value[0] ?? "more");
  else value["more"] = "1";
  return copy;
}

/** Each change of a document in one place, with words for it. */
function allChanges(document: Document): { what: string; document: Document }[] {
  return [...places(document)]
    .flatMap((path) => [
      { what: `changed ${path.join(".")}`, document: changed(document, path) },
      { what: `without ${path.join(".")}`, document: without(document, path) },
      { what: `more in ${path.join(".")}`, document: withMore(document, path) },
    ])
    .filter((one) => one.document !== null);
}

/** Texts for people, which nobody compares; and fewer releases than there are is no lie. */
const TRUE_STILL = [
  /^(?:changed|more in) predicate\.boots\.\d+\.pcrs\.\d+\.assumes/,
  /^without predicate\.boots\.\d+\.pcrs\.\d+\.assumes\.\d+$/,
  /^changed predicate\.boots\.\d+\.pcrs\.\d+\.events\.\d+\.description$/,
  /^changed predicate\.boots\.\d+\.omitted\.\d+\.reason$/,
  /^(?:without|more in) predicate\.boots\.\d+\.omitted(?:\.\d+)?$/,
  /^changed predicate\.boots\.\d+\.omitted\.\d+\.pcr$/,
  /^without predicate\.ukis\.\d+\.composefs\.\d+\.computedBy\.\d+$/,
  /^more in predicate\.ukis\.\d+\.composefs\.\d+\.computedBy$/,
  /^without predicate\.ukis\.\d+\.hosts\.\d+\.\d+$/,
  // Which phases are told is up to who attests.
  /^(?:without predicate\.boots\.\d+\.pcrs\.\d+\.phases\.\d+|more in predicate\.boots\.\d+\.pcrs\.\d+\.phases)$/,
  /^(?:without|more in) predicate\.ukis\.\d+\.hosts\.\d+\.\d+\.releases(?:\.\d+)?$/,
  /^more in predicate\.ukis\.\d+\.hosts\.\d+$/,
  // The name of a subject is anything but the digest of something else, or nothing.
  /^without subject\.0\.name$/,
  /^more in subject$/,
];

/** A sealed image, and one of its attestations. */
async function attested() {
  const lab = await attestLab();
  await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key", "--bundle", "bundles"], lab.cwd);
  return { ...lab, parts: parseParts(readFileSync(join(lab.cwd, "bundles/sealed-image.sigstore.json"))) };
}

/** What seal says of each of these bundles, in one run. */
async function outcomes(cwd: string, bundles: readonly Uint8Array[]): Promise<readonly string[]> {
  const files = bundles.map((bytes, index) => {
    writeFileSync(join(cwd, `bundle-${index}`), bytes);
    return ["--bundle", `bundle-${index}`];
  });
  const { stdout, stderr, code } = await seal(
    ["verify", "oci:image:1", "--attest-cert", "attest.pub", "--json", ...files.flat()],
    { cwd },
  );
  expect(stderr).toBe("");
  expect(code).toBe(1);
  const [image] = verifyAttestationReportSchema.parse(JSON.parse(stdout)).images;
  return image?.attestations.map(({ outcome }) => outcome) ?? [];
}

describe("seal verify", () => {
  it("finds each change of a bundle that nobody signed", async () => {
    const { cwd, parts } = await attested();
    const changes = allChanges(parts.bundle);
    const found = await outcomes(
      cwd,
      changes.map(({ document }) => Buffer.from(JSON.stringify(document))),
    );
    const missed = changes
      .filter((_, index) => found[index] === "true")
      .map(({ what }) => what)
      .toSorted();
    expect(changes.length).toBeGreaterThan(20);
    // Both say nothing that the signature does not say.
    expect(missed).toEqual([
      "without verificationMaterial.publicKey.hint",
      "without verificationMaterial.timestampVerificationData",
    ]);
  }, 120_000);

  it("finds each change of what is stated, though it is signed by the right key", async () => {
    const { cwd, parts, key } = await attested();
    const changes = allChanges(parts.statement);
    const found = await outcomes(
      cwd,
      changes.map(({ document }) => signAgain({ bundle: parts.bundle, statement: document }, key)),
    );
    const missed = changes
      .filter(({ what }, index) => found[index] === "true" && !TRUE_STILL.some((one) => one.test(what)))
      .map(({ what }) => what);
    expect(changes.length).toBeGreaterThan(400);
    expect(missed).toEqual([]);
  }, 300_000);

  it("finds each change of the manifest that an attestation hangs on, whatever is made to fit it", async () => {
    const { cwd } = await attestLab();
    await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key"], cwd);
    const index = readIndex(cwd, "image");
    const [, entry] = index.manifests;
    if (entry === undefined) throw new Error("nothing is attached");
    const manifest = JSON.parse(readBlob(cwd, "image", entry.digest).toString());
    const verify = () => seal(["verify", "oci:image:1", "--attest-cert", "attest.pub"], { cwd });
    expect((await verify()).code).toBe(0);
    const harmless = [
      /^(?:changed|without) (?:config\.|mediaType|config$|schemaVersion)/,
      /^(?:more in|without) (?:config|annotations|subject|layers\.0|config\..*)$/,
    ];
    const missed: string[] = [];
    for (const { what, document } of allChanges(manifest)) {
      const blob = writeBlob(cwd, "image", Buffer.from(JSON.stringify(document)));
      const manifests = [index.manifests[0], { ...entry, ...blob }];
      writeFileSync(join(cwd, "image/index.json"), JSON.stringify({ ...index, manifests }));
      const { code } = await verify();
      if (code === 0 && !harmless.some((one) => one.test(what))) missed.push(what);
    }
    writeFileSync(join(cwd, "image/index.json"), JSON.stringify(index));
    expect(missed).toEqual([]);
  }, 300_000);
});
