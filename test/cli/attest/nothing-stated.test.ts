/** What whoever attests may sign that states nothing: it must not count as true. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { verifyAttestationReportSchema } from "../../../src/cli/attest/verify.ts";
import { attestLab, type Document, ok, type Parts, parseParts, signAgain } from "../../support/attest-lab.ts";
import { emptyChanges } from "../../support/changes.ts";
import { seal } from "../../support/cli.ts";

/**
 * A sealed image, attested for machines with the keys in `keys`, and what seal says of other
 * statements by the same key.
 */
async function lab() {
  const { cwd, key } = await attestLab();
  await ok(["keys", "generate", "--output", "keys"], cwd);
  const enroll = ["keys", "auth", "db", "db.crt", "--key", "keys/KEK.key", "--cert", "keys/KEK.crt"];
  await ok([...enroll, "--output", "keys/db.auth"], cwd);
  await ok(["attest", "--from", "oci:image:1", "--attest-key", "attest.key", "--bundle", "b", "--keys", "keys"], cwd);
  const parts = (name: string) => parseParts(readFileSync(join(cwd, `b/${name}.sigstore.json`)));
  const verdicts = async ({ bundle }: Parts, statements: readonly Document[], ...options: readonly string[]) => {
    const files = statements.flatMap((statement, index) => {
      writeFileSync(join(cwd, `given-${index}`), signAgain({ bundle, statement }, key));
      return ["--bundle", `given-${index}`];
    });
    const args = ["verify", "oci:image:1", "--attest-cert", "attest.pub", "--json", ...files, ...options];
    const { stdout } = await seal(args, { cwd });
    return verifyAttestationReportSchema.parse(JSON.parse(stdout)).images[0]?.attestations ?? [];
  };
  return { sealed: parts("sealed-image"), provenance: parts("provenance"), verdicts };
}

/** The predicate with something changed in it. */
function having({ statement }: Parts, change: (predicate: Document) => void): Document {
  const copy = structuredClone(statement);
  change(copy.predicate);
  return copy;
}

/** Texts for people and names, and phases, which whoever attests may choose. */
const NOTHING_MISSED = [
  /^nothing in predicate\.boots\.\*\.pcrs\.\*\.(?:assumes(?:\.\*)?|phases|events\.\*\.description)$/,
  /^nothing in subject\.\*\.name$/,
];

describe("seal verify of a statement that states nothing", () => {
  it("takes no emptied part for true, whoever signed it, and whether the keys of the firmware are known", async () => {
    const { sealed, verdicts } = await lab();
    const changes = emptyChanges(sealed.statement);
    expect(changes.length).toBeGreaterThan(50);
    for (const options of [["--keys", "keys"], []]) {
      const found = await verdicts(
        sealed,
        changes.map(({ document }) => document),
        ...options,
      );
      const missed = changes
        .filter(({ what }, index) => found[index]?.outcome === "true" && !NOTHING_MISSED.some((one) => one.test(what)))
        .map(({ what }) => what);
      expect(missed).toEqual([]);
    }
  }, 120_000);

  it("says which part is empty", async () => {
    const { sealed, verdicts } = await lab();
    const empty: readonly ((predicate: Document) => void)[] = [
      (one) => {
        one.ukis[0].hosts = [[]];
      },
      (one) => {
        one.ukis[0].hosts[0][0].releases = [];
      },
      (one) => {
        one.ukis[0].composefs[0].computedBy = [];
      },
      (one) => {
        one.boots[0].pcrs[0].values = {};
      },
      (one) => {
        one.firmware.variables = {};
      },
      (one) => {
        one.boots = [];
      },
    ];
    const found = await verdicts(
      sealed,
      empty.map((change) => having(sealed, change)),
    );
    const reasons = found.map(
      ({ reason, claims }) => reason ?? claims.find(({ result }) => result === "false")?.reason,
    );
    expect(reasons).toEqual([
      "its predicate does not have the form of its type: ukis.0.hosts.0: is empty: it has no verdict of any bootc release",
      "its predicate does not have the form of its type: ukis.0.hosts.0.0.releases: is empty: it names no bootc release",
      'computedBy: stated "no release", found "these releases"',
      "its predicate does not have the form of its type: boots.0.pcrs.0.values: is empty: it has no value for any bank",
      "its predicate does not have the form of its type: firmware.variables: lacks one of PK, KEK, db, dbx, which all firmware measures",
      "its predicate does not have the form of its type: boots: is empty, and a sealed image boots",
    ]);
  });

  it("wants all that can be computed without the keys of a firmware that nobody knows", async () => {
    const { sealed, verdicts } = await lab();
    const [good, less] = await verdicts(sealed, [
      sealed.statement,
      having(sealed, (one) => {
        one.boots[0].pcrs = one.boots[0].pcrs.filter(({ pcr }: { pcr: number }) => pcr !== 11);
      }),
    ]);
    expect(good?.outcome).toBe("true");
    expect(good?.claims.some(({ result }) => result === "unchecked")).toBe(true);
    expect(less?.claims.filter(({ result }) => result === "false")).toEqual([
      {
        about: expect.stringMatching(/^PCR 11 of /),
        result: "false",
        reason: expect.stringContaining("nothing is stated about it"),
      },
    ]);
  });

  it("takes no side where one thing is stated in two ways", async () => {
    const { sealed, verdicts } = await lab();
    const twice: readonly ((predicate: Document) => void)[] = [
      (one) => {
        const [first] = one.ukis[0].hosts[0];
        one.ukis[0].hosts[0].unshift({ ...first, boots: first.boots === true ? null : true });
      },
      (one) => {
        const { phases } = one.boots[0].pcrs.find(({ pcr }: { pcr: number }) => pcr === 11);
        phases.unshift({ ...phases[0], values: { sha256: "ab".repeat(32) } });
      },
    ];
    const found = await verdicts(
      sealed,
      twice.map((change) => having(sealed, change)),
    );
    expect(found.map(({ outcome }) => outcome)).toEqual(["false", "false"]);
    expect(found[0]?.claims.find(({ result }) => result === "false")?.reason).toContain('stated {"contradicting":[');
  });

  it("takes no provenance for true that names nothing", async () => {
    const { provenance, verdicts } = await lab();
    const changes = emptyChanges(provenance.statement);
    const found = await verdicts(
      provenance,
      changes.map(({ document }) => document),
    );
    const kept = changes.filter((_, index) => found[index]?.outcome === "true").map(({ what }) => what);
    // None of these is in the image, and a signature is all there is for them.
    expect(kept).toEqual([
      "nothing in subject.*.name",
      "nothing in predicate.buildDefinition.resolvedDependencies.*.mediaType",
      "nothing in predicate.runDetails.builder.version",
      "nothing in predicate.runDetails.builder.version.seal",
    ]);
  });
});
