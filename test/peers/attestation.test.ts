/** Attestations as other tools make and read them: cosign, and in-toto's own packages for Python and Go. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { SEALED_IMAGE_TYPE } from "../../src/attest/sealed-image.ts";
import { attestLab, type Document, ok, parseParts, readBlob, writeKeyPair } from "../support/attest-lab.ts";
import { seal } from "../support/cli.ts";
import { describeWith, runPeer } from "../support/peers.ts";

/** cosign asks for passwords, and for a directory to keep things in. */
const env = (cwd: string) => ({ COSIGN_PASSWORD: "", HOME: cwd });

function cosign(cwd: string, ...args: readonly string[]) {
  return runPeer("cosign", args, { cwd, env: env(cwd) });
}

/** Nothing goes to a log or a time stamping service. */
const OFFLINE = {
  mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
  rekorTlogConfig: {},
  tsaConfig: {},
};

describeWith(["cosign", "root"], "cosign", () => {
  it("verifies what seal attests, with each kind of key, and refuses it for another file or key", async () => {
    const { cwd, digest } = await attestLab();
    writeFileSync(join(cwd, "manifest.json"), readBlob(cwd, "image", digest));
    for (const kind of ["P-256", "P-384", "P-521", "RSA"] as const) {
      writeKeyPair(cwd, kind, kind);
      await ok(["attest", "--from", "oci:image:1", "--attest-key", `${kind}.key`, "--bundle", `by-${kind}`], cwd);
      const verify = (name: string, type: string, key: string, file: string) =>
        cosign(
          cwd,
          ...["verify-blob-attestation", "--key", key, "--insecure-ignore-tlog", "--type", type],
          ...["--bundle", `by-${kind}/${name}.sigstore.json`, file],
        );
      const good = verify("sealed-image", SEALED_IMAGE_TYPE, `${kind}.pub`, "manifest.json");
      expect(good.stderr).toMatch(/Verified OK/);
      expect(good.status).toBe(0);
      expect(verify("provenance", "slsaprovenance1", `${kind}.pub`, "manifest.json").status).toBe(0);
      expect(verify("sealed-image", SEALED_IMAGE_TYPE, "other.pub", "manifest.json").status).not.toBe(0);
      expect(verify("sealed-image", SEALED_IMAGE_TYPE, `${kind}.pub`, "db.crt").status).not.toBe(0);
      expect(verify("sealed-image", "slsaprovenance1", `${kind}.pub`, "manifest.json").status).not.toBe(0);
    }
  }, 120_000);

  it("attests what seal verifies, and what seal finds false", async () => {
    const { cwd, digest } = await attestLab();
    writeFileSync(join(cwd, "config.json"), JSON.stringify(OFFLINE));
    writeFileSync(join(cwd, "manifest.json"), readBlob(cwd, "image", digest));
    expect(cosign(cwd, "generate-key-pair").status).toBe(0);
    await ok(["attest", "--from", "oci:image:1", "--export-tbs", "tbs"], cwd);
    const attest = (out: string, ...what: readonly string[]) => {
      const result = cosign(
        cwd,
        ...["attest-blob", "--key", "cosign.key", "--signing-config", "config.json", "--yes", "--bundle", out],
        ...what,
      );
      expect(result.status, result.stderr).toBe(0);
    };
    const verify = (file: string) =>
      seal(["verify", "oci:image:1", "--attest-cert", "cosign.pub", "--bundle", file], { cwd });
    attest("whole.json", "--statement", "tbs/sealed-image.json");
    expect(await verify("whole.json")).toMatchObject({ code: 0, stderr: "" });

    // Of a predicate cosign makes a statement itself.
    const { predicate } = JSON.parse(readFileSync(join(cwd, "tbs/sealed-image.json"), "utf8"));
    writeFileSync(join(cwd, "predicate.json"), JSON.stringify(predicate));
    attest("made.json", "--predicate", "predicate.json", "--type", SEALED_IMAGE_TYPE, "manifest.json");
    expect(parseParts(readFileSync(join(cwd, "made.json"))).statement.predicate).toEqual(predicate);
    expect((await verify("made.json")).code).toBe(0);

    predicate.ukis[0].cmdlines[0] += " quiet";
    writeFileSync(join(cwd, "predicate.json"), JSON.stringify(predicate));
    attest("false.json", "--predicate", "predicate.json", "--type", SEALED_IMAGE_TYPE, "manifest.json");
    const { code, stdout } = await verify("false.json");
    expect(stdout).toMatch(/✗ boot\/EFI\/Linux\/6\.1-test\.efi: command line/);
    expect(code).toBe(1);
  }, 60_000);
});

/** Reads statements from files and says what is wrong with them. */
const CHECK = `
import sys
from google.protobuf import json_format
import in_toto_attestation.v1.statement_pb2 as spb
from in_toto_attestation.v1.statement import Statement
import in_toto_attestation.predicates.provenance.v1.provenance_pb2 as ppb
for path in sys.argv[1:]:
    message = json_format.Parse(open(path).read(), spb.Statement())
    Statement.copy_from_pb(message).validate()
    if message.predicate_type == "https://slsa.dev/provenance/v1":
        provenance = json_format.ParseDict(json_format.MessageToDict(message.predicate), ppb.Provenance())
        print("provenance by", provenance.run_details.builder.id)
    print(message.subject[0].digest["sha256"])
`;

describeWith(["in-toto-python"], "in-toto's Python package", () => {
  it("takes the statements, and the provenance for SLSA's", async () => {
    const { cwd, digest } = await attestLab();
    await ok(["attest", "--from", "oci:image:1", "--base", "oci:in:1", "--export-tbs", "tbs"], cwd);
    const check = (...files: readonly string[]) => runPeer("in-toto-python", ["-c", CHECK, ...files], { cwd });
    const { status, stdout, stderr } = check("tbs/sealed-image.json", "tbs/provenance.json");
    expect(stderr).toBe("");
    expect(stdout.toString().trim().split("\n")).toEqual([
      digest.slice(7),
      "provenance by tag:seal,2026:seal",
      digest.slice(7),
    ]);
    expect(status).toBe(0);
    const bad = JSON.parse(readFileSync(join(cwd, "tbs/provenance.json"), "utf8"));
    // A field that SLSA does not know.
    bad.predicate.buildDefinition.how = "by hand";
    writeFileSync(join(cwd, "bad.json"), JSON.stringify(bad));
    expect(check("bad.json").status).not.toBe(0);
  });
});

describeWith(["slsa-validate"], "in-toto's Go module", () => {
  it("takes the provenance as SLSA's, with all that it must have", async () => {
    const { cwd } = await attestLab();
    const validate = (...files: readonly string[]) => runPeer("slsa-validate", files, { cwd });
    const builder = ["--builder", "https://ci.example/os"];
    await ok(["attest", "--from", "oci:image:1", "--base", "oci:in:1", ...builder, "--export-tbs", "tbs"], cwd);
    const { status, stdout, stderr } = validate("tbs/provenance.json");
    expect(stderr).toBe("");
    expect(stdout.toString()).toBe("tbs/provenance.json: valid\n");
    expect(status).toBe(0);
    const good = readFileSync(join(cwd, "tbs/provenance.json"), "utf8");
    const change = (edit: (statement: Document) => unknown) => {
      const statement = JSON.parse(good);
      edit(statement);
      writeFileSync(join(cwd, "bad.json"), JSON.stringify(statement));
      return validate("bad.json").status;
    };
    expect(change(() => {})).toBe(0);
    expect(change(({ predicate }) => delete predicate.buildDefinition.buildType)).not.toBe(0);
    expect(change(({ predicate }) => delete predicate.buildDefinition.externalParameters)).not.toBe(0);
    expect(change(({ predicate }) => delete predicate.runDetails.builder.id)).not.toBe(0);
    expect(change(({ subject }) => delete subject[0].digest)).not.toBe(0);
    expect(change((statement) => Object.assign(statement, { more: 1 }))).not.toBe(0);
  });
});
