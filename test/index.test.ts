import { createPublicKey } from "node:crypto";
import { readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { writeSampleTree } from "../examples/demo/sample-tree.ts";
import * as api from "../src/index.ts";
import { attestLab, ok } from "./support/attest-lab.ts";
import { seal } from "./support/cli.ts";
import { writeLayout } from "./support/layout.ts";
import { sealableLayers } from "./support/sealable.ts";
import { tempDir } from "./support/temp.ts";
import { vector } from "./support/vectors.ts";

const PLATFORM = "linux/amd64";
const KEYS = ["--key", "signer.key", "--cert", "signer.crt"];

/** A directory with a root filesystem, and the keys for the command. */
function workplace(): string {
  const cwd = tempDir();
  writeSampleTree(join(cwd, "root"));
  for (const name of ["signer.key", "signer.crt"]) {
    writeFileSync(join(cwd, name), vector(`authenticode/keys/${name}`));
  }
  return cwd;
}

/** The content of each file below a directory. */
function filesIn(directory: string): Map<string, string> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).toSorted();
  return new Map(paths.map((path) => [path.slice(directory.length), readFileSync(path).toString("hex")]));
}

async function signing(): Promise<api.Signing> {
  const { privateKey } = await api.openKeyFile(vector("authenticode/keys/signer.key"), "signer.key", null);
  const [certificate] = api.readCertificateFile(vector("authenticode/keys/signer.crt"), "signer.crt");
  if (certificate === undefined) throw new Error("no certificate");
  return { signer: api.createSignerFrom(privateKey, [certificate], []), time: null, now: new Date(), kernel: null };
}

describe("a program with the public API alone", () => {
  it("seals a root filesystem, as the command does", async () => {
    const cwd = workplace();
    const source = api.parseRootfsSource("dir:root");
    const ukis: api.PeImage[] = [];
    const options = { signing: await signing(), onUki: (uki: api.PeImage) => void ukis.push(uki) };
    const { sealed } = await api.sealRootfs(source, options, { ...api.QUIET, cwd });
    expect(ukis).toEqual([sealed.uki]);

    expect(await seal(["rootfs", "root", ...KEYS, "--output", "out"], { cwd })).toMatchObject({ code: 0 });
    const files = sealed.plan.files.map(
      ({ path, content }) => [`/${path}`, Buffer.concat([...content]).toString("hex")] as const,
    );
    expect(new Map(files)).toEqual(filesIn(join(cwd, "out/boot")));
  });

  it.each(["oci:in", "dir:root"])("seals an image of %s, as the command does", async (from) => {
    const cwd = workplace();
    writeLayout(join(cwd, "in"), sealableLayers());
    const source = api.parseImageOrDirectory(from, "source");
    const target = api.parseImageTarget("oci:library:1", "target", cwd);
    const plan = api.planDigest({ platform: PLATFORM });
    const { lower } = await api.sealImage(source, target, { plan, signing: await signing() }, { ...api.QUIET, cwd });

    const args = ["image", "--from", from, "--to", "oci:command:1", "--platform", PLATFORM, ...KEYS];
    expect(await seal(args, { cwd })).toMatchObject({ code: 0 });
    expect(filesIn(join(cwd, "library"))).toEqual(filesIn(join(cwd, "command")));
    expect(lower.layers.length).toBeGreaterThan(0);
  });

  it("completes a seal with a UKI that was signed elsewhere, as the command does", async () => {
    const cwd = workplace();
    writeLayout(join(cwd, "in"), sealableLayers());
    const build = ["build-uki", "--from", "oci:in", "--platform", PLATFORM, ...KEYS, "--output", "signed.efi"];
    expect(await seal(build, { cwd })).toMatchObject({ code: 0 });
    const source = api.parseImageOrDirectory("oci:in", "source");
    const { rootfs } = await api.openRootfs(source, { algorithm: null, xattrs: [], cwd, platform: PLATFORM });
    const bootloader = await api.signProgram(await api.chooseBootloader(null, rootfs, "x64"), await signing());
    writeFileSync(join(cwd, "boot.efi"), Buffer.concat([...bootloader.pe.file]));
    const certificates = api.readCertificateFile(vector("authenticode/keys/signer.crt"), "signer.crt");
    await api.completeSeal(
      source,
      api.parseImageTarget("oci:library:1", "target", cwd),
      {
        uki: api.parsePe([readFileSync(join(cwd, "signed.efi"))], "signed.efi"),
        fileName: "signed.efi",
        trust: { certificates, now: new Date("2026-01-02T03:04:05Z") },
        bootloader: bootloader.pe,
        plan: api.planDigest({ platform: PLATFORM }),
      },
      { ...api.QUIET, cwd },
    );

    const files = ["--uki", "signed.efi", "--bootloader", "boot.efi", "--cert", "signer.crt"];
    const args = ["with-uki", "--from", "oci:in", "--to", "oci:command:1", "--platform", PLATFORM, ...files];
    expect(await seal(args, { cwd })).toMatchObject({ code: 0 });
    expect(filesIn(join(cwd, "library"))).toEqual(filesIn(join(cwd, "command")));
  });

  it("computes the digest of the command where a file has nanoseconds, which --mtime auto leaves out", async () => {
    const cwd = workplace();
    utimesSync(join(cwd, "root/usr/lib/os-release"), 1_700_000_000.25, 1_700_000_000.25);
    const digest = async (options?: api.DigestOptions) => {
      const ports = { ...api.QUIET, cwd };
      const { digests } = await api.digestRootfs(api.parseRootfsSource("root"), api.planDigest(options), ports);
      return digests.map((one) => `${one.digest}\n`).join("");
    };
    const { stdout } = await seal(["compute-digest", "root"], { cwd });
    expect(await digest()).toBe(stdout);
    expect(await digest({ mtime: "exact" })).not.toBe(stdout);
  });

  it("says what an image can't be made of, and shows its progress", async () => {
    const cwd = workplace();
    const steps: string[] = [];
    const ports: api.Ports = {
      ...api.QUIET,
      cwd,
      progress: {
        ...api.QUIET.progress,
        scan: (step) => {
          steps.push(step);
          return { onProgress: () => {}, done: ({ files }) => steps.push(`${files > 0}`) };
        },
      },
    };
    await api.digestRootfs(api.parseRootfsSource("dir:root"), api.planDigest(), ports);
    expect(steps).toEqual(["reading dir:root", "true"]);
    expect(() => api.parseImageOrDirectory("root", "source")).toThrow("source root: give an image");
  });
});

it("attests an image and verifies it, as the commands do, with the public API alone", async () => {
  const { cwd, key, digest } = await attestLab();
  const ports = { ...api.QUIET, cwd };
  const image = { kind: "oci", path: "image", reference: "1", subject: "oci:image:1" } as const;
  const how = { command: "seal attest", builder: "https://ci.example/os", version: "1", base: null } as const;
  const now = new Date("2026-01-02T03:04:05Z");
  const stated = await api.stateImages(image, { ...how, platform: undefined, policy: null, now }, ports);
  const attestations = await api.signStatements(stated.statements, api.keySigner({ key, label: "attest.key" }));
  const target = api.parseImageTarget("oci:attested:1", "target", cwd);
  if (!("path" in target)) throw new Error("no layout");
  await api.attachAttestations(stated.found, target, attestations, ports);
  await ok(["verify", "oci:attested:1", "--attest-cert", "attest.pub"], cwd);

  const trusted = [{ key: createPublicKey(key), label: "attest.pub" }];
  const options = { platform: undefined, trusted, bundles: null, policy: null, now };
  const [verdict] = await api.verifyImages({ ...image, path: "attested" }, options, ports);
  expect(verdict).toMatchObject({ digest, verified: true, reason: null });
  expect(await api.verifyImages(image, options, ports)).toMatchObject([{ digest, verified: false }]);
  for (const { bundle, predicateType } of attestations) {
    const read = api.parseBundle(bundle, "bundle");
    expect(api.signedBy(read, trusted)).toEqual({ kind: "key", label: "attest.pub" });
    expect(api.parseStatement(read.statement, "statement").predicateType).toBe(predicateType);
  }
});

it("computes what a machine measures, and compares it with an event log, with the public API alone", () => {
  const log = api.parseEventLog(vector("event-log/ovmf-systemd.bin.gz"), "log");
  const logged = api.extendingEvents(log, 11);
  const uki = api.parsePe([vector("uki/outputs/all.262.efi.gz")], "uki.efi");
  const [set] = api.measuredSets(api.profileGroups(uki), 0);
  if (set === undefined) throw new Error("no profile");
  const banks = ["sha256"] as const;
  const chain = { bootLoader: null, uki: new api.PePass(uki, "verify"), addons: [], taken: [], sidecars: [] };
  const phases = ["enter-initrd"];
  const options = { policy: api.readPolicy([], "firmware"), banks, phases, kernelArguments: "", now: new Date() };
  const { pcrs: references, unknown } = api.bootReference(chain, set, options);
  expect({ pcrs: references.map(({ pcr }) => pcr), unknown }).toEqual({ pcrs: [4, 7, 11, 12], unknown: null });
  const pcr11 = references.find(({ pcr }) => pcr === 11);
  const [predicted] = api.predictPcr11(set.sections, banks, phases);
  expect(pcr11?.phases[0]?.values["sha256"]).toEqual(predicted?.value);
  expect(api.replayEvents(pcr11?.events ?? [], "sha256")).toEqual(pcr11?.values["sha256"]);
  expect(api.findLogDifference(pcr11?.events ?? [], logged, banks)).toMatch(
    /^event 2 should be EV_IPL \(content of \.linux\)/,
  );
});
