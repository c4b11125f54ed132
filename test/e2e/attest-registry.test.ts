/**
 * Attestations beside images in registries, with the referrers API and without: as seal puts them there and finds
 * them, and as cosign does.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SEALED_IMAGE_TYPE } from "../../src/attest/sealed-image.ts";
import { attestReportSchema } from "../../src/cli/attest/command.ts";
import { verifyAttestationReportSchema } from "../../src/cli/attest/verify.ts";
import { attestLab, ok, PLATFORM, readIndex, signAgain, writeBlob, writeKeyPair } from "../support/attest-lab.ts";
import { seal } from "../support/cli.ts";
import { containerTools } from "../support/containers.ts";
import { startReferrersRegistry, startRegistry } from "../support/docker-registry.ts";
import { expectRefusal, SIGNING } from "../support/inputs.ts";
import { writeLayout } from "../support/layout.ts";
import { describeWith, runPeer } from "../support/peers.ts";
import { writePlatforms } from "../support/platforms.ts";
import { sealableLayers } from "../support/sealable.ts";

const INSECURE = "--tls-verify=false";
const BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json";
/** Nothing goes to a log or a time stamping service. */
const OFFLINE = {
  mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
  rekorTlogConfig: {},
  tsaConfig: {},
};

/** {@link attestLab}, and what is needed to take images to a registry. */
async function registryLab() {
  const lab = await attestLab();
  const { cwd } = lab;
  const tools = join(cwd, "tools");
  mkdirSync(tools);
  const { env, skopeo } = containerTools(tools);
  const raw = (reference: string) => skopeo("inspect", "--raw", INSECURE, reference);
  return {
    ...lab,
    skopeo,
    /** The manifest or index there. */
    raw,
    tags: (name: string): string[] => JSON.parse(skopeo("list-tags", INSECURE, `docker://${name}`)).Tags,
    run: (...args: readonly string[]) => seal(args, { cwd, env }),
    ok: (...args: readonly string[]) => ok(args, cwd, env),
    cosign: (...args: readonly string[]) =>
      runPeer("cosign", args, { cwd, env: { COSIGN_PASSWORD: "", HOME: cwd, DOCKER_CONFIG: join(cwd, "docker") } }),
  };
}

type Lab = Awaited<ReturnType<typeof registryLab>>;

/** What seal says of the attestations of an image. */
async function verdict({ run }: Lab, image: string, key: string, ...others: readonly string[]) {
  const args = ["verify-attestation", image, "--attest-cert", key, INSECURE, "--json", ...others];
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).toBe("");
  const { images } = verifyAttestationReportSchema.parse(JSON.parse(stdout));
  return { code, images };
}

const KINDS = [
  ["docker-registry", async (lab: Lab) => (await startRegistry(join(lab.cwd, "registry"))).host],
  ["referrers-registry", (lab: Lab) => startReferrersRegistry(join(lab.cwd, "registry"))],
] as const;

for (const [kind, start] of KINDS) {
  describeWith(["skopeo", kind, "root"], `attestations in ${kind}`, () => {
    it("lie beside the image, which stays as it is, and what lay there before stays too", async () => {
      const lab = await registryLab();
      const { cwd, digest, skopeo, raw } = lab;
      const host = await start(lab);
      const image = `docker://${host}/some/os:1`;
      // Something else that is about the image.
      const subject = readIndex(cwd, "image").manifests[0];
      const config = { mediaType: "application/vnd.oci.empty.v1+json", ...writeBlob(cwd, "sbom", Buffer.from("{}")) };
      const sbom = {
        ...{ schemaVersion: 2, mediaType: subject?.mediaType, artifactType: "application/spdx+json", config },
        layers: [{ mediaType: "application/spdx+json", ...writeBlob(cwd, "sbom", Buffer.from('{"sbom":1}')) }],
        subject: { mediaType: subject?.mediaType, digest, size: subject?.size },
      };
      const entry = { mediaType: subject?.mediaType, ...writeBlob(cwd, "sbom", Buffer.from(JSON.stringify(sbom))) };
      writeFileSync(join(cwd, "sbom/oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
      writeFileSync(join(cwd, "sbom/index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));

      await lab.ok("attest", "--from", "oci:image:1", "--to", image, "--attest-key", "attest.key", INSECURE);
      expect(JSON.parse(skopeo("inspect", INSECURE, image)).Digest).toBe(digest);
      const copy = ["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"];
      skopeo(...copy, `oci:${join(cwd, "sbom")}`, `docker://${host}/some/os@${entry.digest}`);
      const tag = digest.replace(":", "-");
      const isKept = kind === "referrers-registry";
      if (!isKept) {
        // Whoever pushes to such a registry keeps the list.
        const list = JSON.parse(raw(`docker://${host}/some/os:${tag}`));
        const more = { ...list, manifests: [...list.manifests, { ...entry, artifactType: sbom.artifactType }] };
        const index = {
          mediaType: list.mediaType,
          ...writeBlob(cwd, "list", Buffer.from(JSON.stringify({ ...more, annotations: { kept: "yes" } }))),
        };
        writeFileSync(join(cwd, "list/oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
        writeFileSync(join(cwd, "list/index.json"), JSON.stringify({ schemaVersion: 2, manifests: [index] }));
        skopeo(...copy, "--multi-arch=index-only", `oci:${join(cwd, "list")}`, `docker://${host}/some/os:${tag}`);
      }
      const again = ["attest", "--from", image, "--attest-key", "other.key", INSECURE, "--json"];
      const { attestations } = attestReportSchema.parse(JSON.parse(await lab.ok(...again)));
      expect(attestations.map((one) => [one.name, one.image])).toEqual([
        ["sealed-image", digest],
        ["provenance", digest],
      ]);
      for (const { referrer, predicateType } of attestations) {
        expect(JSON.parse(raw(`docker://${host}/some/os@${referrer}`))).toMatchObject({
          artifactType: BUNDLE_TYPE,
          subject: sbom.subject,
          annotations: { "dev.sigstore.bundle.predicateType": predicateType },
        });
      }
      expect(lab.tags(`${host}/some/os`).toSorted()).toEqual(isKept ? ["1"] : ["1", tag].toSorted());
      if (!isKept) {
        const { manifests, annotations } = JSON.parse(raw(`docker://${host}/some/os:${tag}`));
        expect(manifests).toHaveLength(5);
        expect(manifests.map((one: { digest: string }) => one.digest)).toContain(entry.digest);
        expect(annotations).toEqual({ kept: "yes" });
      }
      for (const key of ["attest.pub", "other.pub"]) {
        const { code, images } = await verdict(lab, image, key);
        expect(code).toBe(0);
        expect(images).toHaveLength(1);
        const outcomes = images[0]?.attestations.map(({ outcome }) => outcome).toSorted();
        expect(outcomes).toEqual(["ignored", "ignored", "true", "true"]);
      }
      const nobody = await lab.run("verify", image, "--attest-cert", "db.crt", INSECURE);
      expect(nobody.code).toBe(1);
      expect(nobody.stdout).toMatch(/not verified: none of its attestations is signed by the given keys/);
    }, 60_000);

    it("are found by the digest of the image too, and one that is false is", async () => {
      const lab = await registryLab();
      const { cwd, digest, key } = lab;
      const host = await start(lab);
      const image = `docker://${host}/os`;
      lab.skopeo(
        "copy",
        "--quiet",
        "--preserve-digests",
        "--dest-tls-verify=false",
        `oci:${join(cwd, "image")}:1`,
        image,
      );
      expect((await verdict(lab, image, "attest.pub")).images[0]?.reason).toBe("there is no attestation of this image");
      await lab.ok("attest", "--from", image, "--export-tbs", "tbs", INSECURE);
      const statement = JSON.parse(readFileSync(join(cwd, "tbs/sealed-image.json"), "utf8"));
      await lab.ok("attest", "--from", image, "--attest-key", "attest.key", "--bundle", "b", INSECURE);
      const bundle = JSON.parse(readFileSync(join(cwd, "b/sealed-image.sigstore.json"), "utf8"));
      await lab.ok("attest", "--from", `${image}@${digest}`, "--attest-key", "attest.key", INSECURE);
      expect((await verdict(lab, `${image}@${digest}`, "attest.pub")).code).toBe(0);

      // The right key states what is not so: whatever else is stated, the image is not verified.
      statement.predicate.ukis[0].cmdlines[0] += " quiet";
      const payload = signAgain({ bundle, statement }, key);
      writeFileSync(join(cwd, "tbs/sealed-image.json"), JSON.stringify(statement));
      const parts = JSON.parse(Buffer.from(payload).toString());
      writeFileSync(join(cwd, "tbs/sealed-image.sig"), Buffer.from(parts.dsseEnvelope.signatures[0].sig, "base64"));
      const provenance = JSON.parse(readFileSync(join(cwd, "b/provenance.sigstore.json"), "utf8"));
      writeFileSync(join(cwd, "tbs/provenance.sig"), Buffer.from(provenance.dsseEnvelope.signatures[0].sig, "base64"));
      const attach = ["--attach-signature", "tbs", "--attest-cert", "attest.pub", INSECURE];
      await lab.ok("attest", "--from", image, ...attach);
      const { code, images } = await verdict(lab, image, "attest.pub");
      expect(code).toBe(1);
      expect(images[0]?.attestations.filter(({ outcome }) => outcome === "false")).toHaveLength(1);
    }, 60_000);

    it("are made by seal image in the same run, of each platform", async () => {
      const lab = await registryLab();
      const host = await start(lab);
      const attest = ["--attest-key", "attest.key", INSECURE];
      const one = `docker://${host}/os:one`;
      const sealed = ["image", "--from", "oci:in:1", ...SIGNING];
      const plain = JSON.parse(await lab.ok(...sealed, ...PLATFORM, "--to", "oci:plain:1", "--json"));
      const report = JSON.parse(await lab.ok(...sealed, ...PLATFORM, "--to", one, ...attest, "--json"));
      expect(report.image.digest).toBe(plain.image.digest);
      expect((await verdict(lab, one, "attest.pub", ...PLATFORM)).code).toBe(0);

      const images = [
        { architecture: "arm64", layers: sealableLayers(Buffer.from("arm"), "aa64") },
        { architecture: "amd64", layers: sealableLayers() },
      ];
      writePlatforms(join(lab.cwd, "multi"), images, { tag: "1" });
      const all = `docker://${host}/many:all`;
      const many = ["image", "--from", "oci:multi:1", "--all-platforms", ...SIGNING, ...attest];
      const { images: reports } = JSON.parse(await lab.ok(...many, "--to", all, "--json"));
      const verified = await verdict(lab, all, "attest.pub");
      expect(verified.code).toBe(0);
      expect(verified.images.map((image) => [image.platform, image.digest])).toEqual(
        reports.map(({ image }: { image: { platform: string; digest: string } }) => [image.platform, image.digest]),
      );
      for (const { attestations } of verified.images) {
        expect(attestations.map(({ outcome }) => outcome)).toEqual(["true", "true"]);
      }
      expect((await verdict(lab, all, "attest.pub", "--platform", "linux/arm64")).images).toMatchObject([
        { platform: "linux/arm64", verified: true },
      ]);
      // All of it goes to another registry or repository with its attestations made anew.
      const copy = `docker://${host}/copy:all`;
      await lab.ok("attest", "--from", all, "--to", copy, "--attest-key", "other.key", INSECURE);
      expect((await verdict(lab, copy, "other.pub")).images.map(({ verified: is }) => is)).toEqual([true, true]);
    }, 120_000);
  });

  describeWith(["skopeo", "cosign", kind, "root"], `cosign with ${kind}`, () => {
    it("verifies what seal attests, and attests what seal verifies", async () => {
      const lab = await registryLab();
      const { cwd, digest, cosign } = lab;
      const host = await start(lab);
      const image = `docker://${host}/os:1`;
      const flags = ["--allow-http-registry", "--type", SEALED_IMAGE_TYPE];
      const verify = (key: string, ...more: readonly string[]) =>
        cosign("verify-attestation", "--key", key, "--insecure-ignore-tlog", ...flags, ...more, `${host}/os:1`);
      lab.skopeo(
        "copy",
        "--quiet",
        "--preserve-digests",
        "--dest-tls-verify=false",
        `oci:${join(cwd, "image")}:1`,
        image,
      );
      expect(verify("attest.pub").status).not.toBe(0);

      writeFileSync(join(cwd, "config.json"), JSON.stringify(OFFLINE));
      expect(cosign("generate-key-pair").status).toBe(0);
      await lab.ok("attest", "--from", "oci:image:1", "--export-tbs", "tbs");
      const { predicate } = JSON.parse(readFileSync(join(cwd, "tbs/sealed-image.json"), "utf8"));
      writeFileSync(join(cwd, "predicate.json"), JSON.stringify(predicate));
      const made = cosign(
        ...["attest", "--key", "cosign.key", "--signing-config", "config.json", "--yes", ...flags],
        ...["--predicate", "predicate.json", `${host}/os@${digest}`],
      );
      expect(made.status, made.stderr).toBe(0);
      expect((await verdict(lab, image, "cosign.pub")).code).toBe(0);

      await lab.ok("attest", "--from", image, "--attest-key", "attest.key", INSECURE);
      for (const key of ["attest.pub", "cosign.pub"]) {
        const { status, stderr } = verify(key);
        expect(status, stderr).toBe(0);
        expect((await verdict(lab, image, key)).code).toBe(0);
      }
      expect(verify("other.pub").status).not.toBe(0);
    }, 120_000);

    it("finds attestations at the tag of its older versions, and seal those that cosign puts there", async () => {
      const lab = await registryLab();
      const { cwd, digest, cosign } = lab;
      const host = await start(lab);
      const image = `docker://${host}/os:1`;
      const tag = `${digest.replace(":", "-")}.att`;
      const flags = ["--new-bundle-format=false", "--allow-http-registry", "--type", SEALED_IMAGE_TYPE];
      const verify = (key: string) =>
        cosign("verify-attestation", "--key", key, "--insecure-ignore-tlog", ...flags, `${host}/os:1`).status;
      const layers = () => JSON.parse(lab.raw(`docker://${host}/os:${tag}`)).layers;
      await lab.ok("attest", "--from", "oci:image:1", "--to", image, "--attest-key", "attest.key", INSECURE);
      expect(verify("attest.pub")).not.toBe(0);
      expect(cosign("generate-key-pair").status).toBe(0);
      await lab.ok("attest", "--from", "oci:image:1", "--export-tbs", "tbs");
      const { predicate } = JSON.parse(readFileSync(join(cwd, "tbs/sealed-image.json"), "utf8"));
      writeFileSync(join(cwd, "predicate.json"), JSON.stringify(predicate));
      const made = cosign(
        ...["attest", "--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false", "--yes", ...flags],
        ...["--predicate", "predicate.json", `${host}/os@${digest}`],
      );
      expect(made.status, made.stderr).toBe(0);
      expect((await verdict(lab, image, "cosign.pub")).code).toBe(0);
      expect(layers()).toHaveLength(1);

      const attest = ["attest", "--from", image, INSECURE, "--attest-cosign-tag", "--attest-key"];
      await lab.ok(...attest, "other.key");
      expect(layers()).toHaveLength(3);
      for (const key of ["cosign.pub", "other.pub"]) expect(verify(key)).toBe(0);
      expect(verify("attest.pub")).not.toBe(0);
      const { images } = await verdict(lab, image, "other.pub");
      // Two of each key as referrers; of those at the tag the one that is not among them.
      expect(images[0]?.attestations.map(({ outcome }) => outcome).toSorted()).toEqual([
        ...["ignored", "ignored", "ignored", "true", "true"],
      ]);
      const [tagged] = images[0]?.attestations.filter(({ attestation }) => attestation.includes(".att")) ?? [];
      expect(tagged?.attestation).toBe(`docker://${host}/os:${tag}: layer 1`);
      // seal image does it too.
      const to = `docker://${host}/new:1`;
      const sealed = ["image", "--from", "oci:in:1", "--to", to, ...SIGNING, ...PLATFORM, INSECURE, "--json"];
      const report = await lab.ok(...sealed, "--attest-key", "attest.key", "--attest-cosign-tag");
      const name = JSON.parse(report).image.digest.replace(":", "-");
      expect(JSON.parse(lab.raw(`docker://${host}/new:${name}.att`)).layers).toHaveLength(2);
    }, 120_000);
  });
}

describeWith(["skopeo", "docker-registry", "root"], "a registry without the API", () => {
  it("keeps what else stands at the tag of the list, though nobody can attest the image then", async () => {
    const lab = await registryLab();
    const { host } = await startRegistry(join(lab.cwd, "registry"));
    const tag = lab.digest.replace(":", "-");
    const image = `docker://${host}/os:1`;
    // As cosign copy does it.
    for (const name of ["1", tag]) {
      const copy = ["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"];
      lab.skopeo(...copy, `oci:${join(lab.cwd, "image")}:1`, `docker://${host}/os:${name}`);
    }
    const message =
      /: what refers to sha256:\S+: should be an index at the tag sha256-\S+, which is something else \(status: 200, /;
    expectRefusal(await lab.run("verify", image, "--attest-cert", "attest.pub", INSECURE), 3, message);
    expectRefusal(await lab.run("attest", "--from", image, "--attest-key", "attest.key", INSECURE), 3, message);
    expect(JSON.parse(lab.skopeo("inspect", INSECURE, `docker://${host}/os:${tag}`)).Digest).toBe(lab.digest);
  }, 60_000);
});

describeWith(["skopeo", "docker-registry", "root"], "an image in Docker's format", () => {
  it("is refused, for what seal would attest is another image", async () => {
    const lab = await registryLab();
    const { host } = await startRegistry(join(lab.cwd, "registry"));
    const image = `docker://${host}/os:1`;
    const copy = ["copy", "--quiet", "--format", "v2s2", "--dest-tls-verify=false"];
    lab.skopeo(...copy, `oci:${join(lab.cwd, "image")}:1`, image);
    const message = /: has the digest sha256:\S+, but its copy in OCI format has sha256:\S+: push it in OCI format/;
    expectRefusal(await lab.run("attest", "--from", image, "--attest-key", "attest.key", INSECURE), 3, message);
    expectRefusal(await lab.run("verify", image, "--attest-cert", "attest.pub", INSECURE), 3, message);
    const one = ["attest", "--from", image, ...PLATFORM, "--attest-key", "attest.key", INSECURE];
    expectRefusal(await lab.run(...one), 3, message);
    expect(lab.tags(`${host}/os`)).toEqual(["1"]);
    // Nor does anything in that format at cosign's tag give way to what seal would put there.
    const to = ["attest", "--from", "oci:image:1", "--to", `docker://${host}/new:1`, INSECURE];
    const tag = `${lab.digest.replace(":", "-")}.att`;
    lab.skopeo(...copy, `oci:${join(lab.cwd, "image")}:1`, `docker://${host}/new:${tag}`);
    const before = lab.raw(`docker://${host}/new:${tag}`);
    expectRefusal(
      await lab.run(...to, "--attest-key", "attest.key", "--attest-cosign-tag"),
      3,
      /\.att: is not an image of attestations as cosign makes them \(status: 200, application\/vnd\.docker\./,
    );
    expect(lab.raw(`docker://${host}/new:${tag}`)).toBe(before);
  }, 60_000);
});

describeWith(["skopeo", "cosign", "docker-registry", "root"], "docs/attestation.md", () => {
  it("attests and verifies with cosign, end to end", async () => {
    const { cwd, cosign } = await registryLab();
    const { host } = await startRegistry(join(cwd, "registry"));
    // The image is not for this machine, and registries.conf says that the registry has no certificate.
    const { env } = containerTools(join(cwd, "tools"), host);
    writeLayout(join(cwd, "os"), sealableLayers());
    writeFileSync(join(cwd, "seal.toml"), '[image]\nplatform = "linux/amd64"\n');
    const page = readFileSync(new URL("../../docs/attestation.md", import.meta.url), "utf8");
    const [, section = ""] = page.split("## End to end, with cosign\n");
    const blocks = [...(section.split("\n## ")[0] ?? "").matchAll(/```sh\n(.*?)```/gs)];
    const lines = blocks.flatMap(([, block = ""]) => block.trim().split("\n"));
    const said: string[] = [];
    for (const line of lines) {
      const [program, ...args] = line.replaceAll("registry.example", host).split(" ");
      if (program === "seal") said.push(await ok(args, cwd, env));
      else if (program === "cosign") {
        const { status, stderr } = cosign(...args, "--allow-http-registry");
        expect(status, stderr).toBe(0);
      } else expect(runPeer("openssl", args, { cwd }).status).toBe(0);
    }
    expect(lines).toHaveLength(7);
    expect(said.at(-1)).toMatch(/^✓ docker:.* verified\n/);
    expect(said.at(-1)).toMatch(/✓ keys of the firmware\n.*✓ PCR 4 of /s);
  }, 120_000);
});

describeWith(["skopeo", "docker-registry", "root"], "a registry that wants a login", () => {
  it("gets it for attestations too, from the file that skopeo takes it from", async () => {
    const lab = await registryLab();
    const { host, authfile, wrongAuthfile } = await startRegistry(join(lab.cwd, "registry"), { login: true });
    const image = `docker://${host}/os:1`;
    const access = [INSECURE, "--authfile", authfile];
    await lab.ok("attest", "--from", "oci:image:1", "--to", image, "--attest-key", "attest.key", ...access);
    await lab.ok("verify", image, "--attest-cert", "attest.pub", ...access);
    for (const others of [[INSECURE], [INSECURE, "--authfile", wrongAuthfile]]) {
      const refused = await lab.run("verify", image, "--attest-cert", "attest.pub", ...others);
      expectRefusal(refused, 4, /--authfile names a credentials file/);
    }
  }, 60_000);
});

describeWith(
  ["skopeo", "docker-registry", "root"],
  "what skopeo does with an image beside which something lies",
  () => {
    it("is nothing without its tag, and then it takes the image alone", async () => {
      const lab = await registryLab();
      const { host } = await startRegistry(join(lab.cwd, "registry"));
      const untagged = ["image", "--from", "oci:in:1", "--to", "oci:untagged", ...SIGNING, ...PLATFORM];
      await lab.ok(...untagged, "--attest-key", "attest.key");
      await lab.ok("attest", "--from", "oci:image:1", "--attest-key", "attest.key");
      const copy = (from: string) =>
        lab.skopeo(
          "copy",
          "--quiet",
          "--preserve-digests",
          "--dest-tls-verify=false",
          `oci:${join(lab.cwd, from)}`,
          `docker://${host}/os:1`,
        );
      expect(() => copy("untagged")).toThrow(/more than one image in oci, choose an image/);
      copy("image:1");
      expect(lab.tags(`${host}/os`)).toEqual(["1"]);
    }, 60_000);
  },
);

describe("a place that holds no attestations", () => {
  it("is refused with the way out", async () => {
    const { cwd } = await attestLab();
    writeKeyPair(cwd, "key");
    const run = (...args: readonly string[]) => seal([...args, "--attest-key", "key.key"], { cwd });
    const store = "containers-storage:localhost/os:1";
    const message = (option: string) =>
      new RegExp(`^seal: ${option}${store}: a store can't store attestations, .*; push it first and give docker://`);
    expectRefusal(await run("attest", "--from", store), 2, message("--from "));
    expectRefusal(await run("attest", "--from", store, "--bundle", "b"), 2, message("--from "));
    expectRefusal(await run("attest", "--from", store, "--to", "docker://localhost:1/os"), 2, message("--from "));
    expectRefusal(await run("attest", "--from", "oci:image:1", "--to", store), 2, message("--to "));
    expectRefusal(await run("image", "--from", "oci:in:1", "--to", store, ...PLATFORM), 2, message("--attest-key: "));
    expectRefusal(
      await run("attest", "--from", "docker-daemon:os:1"),
      2,
      /--from docker-daemon:os:1: docker's daemon can't store attestations/,
    );
    expectRefusal(
      await run("attest", "--from", "oci:image:1", "--attest-cosign-tag"),
      2,
      /--attest-cosign-tag: requires an image in a registry, and oci:image:1 is not one/,
    );
    expectRefusal(await seal(["verify", store, "--attest-cert", "key.pub"], { cwd }), 2, message(""));
  });
});
