import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { verifyAttestationReportSchema } from "../../../src/cli/attest/verify.ts";
import { attestLab, ok, parseParts, readBlob, readIndex, signAgain, writeBlob } from "../../support/attest-lab.ts";
import { allChanges } from "../../support/changes.ts";
import { seal } from "../../support/cli.ts";

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
