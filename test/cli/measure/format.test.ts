/**
 * measure --reference --format: what the forms hold, where they go and what is refused. The verifiers
 * themselves are in test/peers.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromHex } from "../../../src/bytes.ts";
import { type ReferenceReport, referenceReportSchema } from "../../../src/cli/measure/reference.ts";
import { attestLab, ok, PLATFORM } from "../../support/attest-lab.ts";
import { seal } from "../../support/cli.ts";
import { expectRefusal } from "../../support/inputs.ts";
import { vector } from "../../support/vectors.ts";

let cwd = "";
const run = async (...args: string[]) => {
  const result = await seal(args, { cwd });
  expect(result.code, result.stderr).toBe(0);
  return result;
};
const measure = (...args: string[]) => run("measure", ...args, "--reference");
const reference = async (...args: string[]): Promise<ReferenceReport> =>
  referenceReportSchema.parse(JSON.parse((await measure(...args)).stdout));
const valuesOf = (report: ReferenceReport, pcr: number, bank: string) =>
  report.boots.flatMap(({ pcrs }) => pcrs.filter((one) => one.pcr === pcr).map(({ values }) => values[bank] ?? ""));
const filesBelow = (directory: string) =>
  readdirSync(join(cwd, directory), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(pcrlock|json)$/.test(name))
    .sort();

interface Component {
  records: { pcr: number; digests: { hashAlg: string; digest: string }[] }[];
}
const component = (path: string): Component => JSON.parse(readFileSync(join(cwd, path), "utf8"));

const sign = ["--key", "keys/db.key", "--cert", "keys/db.crt"];

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
  for (const name of ["kernel", "stub-plain", "stub-nosbat", "initrd-1", "dtb-auto-1", "dtb-auto-2"]) {
    writeFileSync(join(cwd, name), vector(`uki/inputs/${name}`));
  }
  for (const name of ["keys", "other"]) await run("keys", "generate", "--output", name);
  writeFileSync(join(cwd, "sdmagic"), "#### LoaderInfo: systemd-stub 257.1 ####");
  writeFileSync(join(cwd, "sd-boot"), "#### LoaderInfo: systemd-boot 257.1 ####");
  const stub = ["--stub", "stub-plain", "--section", ".sdmagic:@sdmagic"];
  const sources = ["--linux", "kernel", "--initrd", "initrd-1", "--os-release", "ID=x", ...stub];
  await run("build-uki", ...sources, "--cmdline", "a=b", ...sign, "--output", "uki.efi");
  const profile = ["--stub", "stub-nosbat", "--profile", "ID=rescue", "--cmdline", "rescue"];
  await run("build-uki", ...profile, "--output", "profile.efi");
  const trees = ["--devicetree-auto", "dtb-auto-1", "--devicetree-auto", "dtb-auto-2"];
  const more = ["--profile", "ID=main", "--join-profile", "profile.efi", "--cmdline", "a=b"];
  await run("build-uki", ...sources, ...more, ...trees, ...sign, "--output", "many.efi");
  const loader = ["--cmdline", "", "--os-release", "", "--section", ".sdmagic:@sd-boot", "--sbat", "sbat,1,x"];
  await run("build-uki", "--stub", "stub-plain", ...loader, ...sign, "--output", "loader.efi");
  mkdirSync(join(cwd, "boot/EFI/BOOT"), { recursive: true });
  mkdirSync(join(cwd, "boot/EFI/Linux"));
  cpSync(join(cwd, "loader.efi"), join(cwd, "boot/EFI/BOOT/BOOTX64.EFI"));
  cpSync(join(cwd, "uki.efi"), join(cwd, "boot/EFI/Linux/uki.efi"));
}, 60_000);
afterAll(() => rmSync(cwd, { recursive: true, force: true }));

describe("--format pcrlock", () => {
  it("writes components as systemd-pcrlock names them, in all banks, the authority in those of the TPM", async () => {
    const { stdout, stderr } = await measure(
      "boot",
      "--keys",
      "keys",
      "--format",
      "pcrlock",
      "--banks",
      "sha256,sha384",
      "--output",
      "locks",
    );
    expect(stdout).toBe("");
    expect(stderr).toMatch(/^boot path: EFI\/BOOT\/BOOTX64\.EFI, EFI\/Linux\/uki\.efi\nPCR 4 assumes: /);
    expect(stderr).not.toContain("PCR 12");
    expect(filesBelow("locks")).toEqual([
      "240-secureboot-policy.pcrlock.d/generated.pcrlock",
      "620-secureboot-authority.pcrlock.d/generated.pcrlock",
      "640-boot-loader.pcrlock.d/BOOTX64.pcrlock",
      "650-uki.pcrlock.d/uki.pcrlock",
    ]);
    const banksOf = (path: string) =>
      component(`locks/${path}`).records.map(({ digests }) => digests.map(({ hashAlg }) => hashAlg));
    expect(banksOf("620-secureboot-authority.pcrlock.d/generated.pcrlock")).toEqual([["sha384", "sha256"]]);
    expect(banksOf("240-secureboot-policy.pcrlock.d/generated.pcrlock")).toEqual(
      Array<string[]>(5).fill(["sha1", "sha256", "sha384", "sha512"]),
    );
  });

  it("has a variant for each profile and device tree, which replays to PCR 11", async () => {
    await measure("many.efi", "--no-secure-boot", "--format", "pcrlock", "--output", "many");
    const names = [
      "many-devicetree-0",
      "many-devicetree-1",
      "many-profile-1-devicetree-0",
      "many-profile-1-devicetree-1",
    ];
    expect(filesBelow("many").filter((name) => name.startsWith("650-"))).toEqual(
      names.map((name) => `650-uki.pcrlock.d/${name}.pcrlock`),
    );
    const replayed = names.map((name) =>
      component(`many/650-uki.pcrlock.d/${name}.pcrlock`)
        .records.filter(({ pcr }) => pcr === 11)
        .map(({ digests }) => fromHex(digests.find(({ hashAlg }) => hashAlg === "sha512")?.digest ?? "") ?? Buffer.of())
        .reduce((pcr, digest) => createHash("sha512").update(pcr).update(digest).digest(), Buffer.alloc(64))
        .toString("hex"),
    );
    expect(replayed).toEqual(
      valuesOf(await reference("many.efi", "--no-secure-boot", "--banks", "sha512"), 11, "sha512"),
    );
  });

  it("has the kernel where the firmware loads it, and no authority where nothing is enforced", async () => {
    cpSync(join(cwd, "boot"), join(cwd, "two"), { recursive: true });
    writeFileSync(join(cwd, "newer"), "#### LoaderInfo: systemd-stub 258 ####");
    const inputs = ["--linux", "kernel", "--os-release", "ID=y", "--cmdline", "c", "--stub", "stub-plain"];
    await run("build-uki", ...inputs, "--section", ".sdmagic:@newer", "--output", "two/EFI/Linux/newer.efi");
    await measure("two", "--no-secure-boot", "--format", "pcrlock", "--output", "off");
    expect(filesBelow("off")).toEqual([
      "240-secureboot-policy.pcrlock.d/generated.pcrlock",
      "640-boot-loader.pcrlock.d/BOOTX64.pcrlock",
      "650-uki.pcrlock.d/newer.pcrlock",
      "650-uki.pcrlock.d/uki.pcrlock",
      // What has no records comes last: systemd-pcrlock takes the first that fits.
      "670-kernel.pcrlock.d/300-uki.pcrlock",
      "670-kernel.pcrlock.d/600-absent.pcrlock",
    ]);
    expect(component("off/670-kernel.pcrlock.d/600-absent.pcrlock")).toEqual({ records: [] });
  });

  it("goes into a new directory only", async () => {
    const pcrlock = ["measure", "boot", "--keys", "keys", "--reference", "--format", "pcrlock"];
    const told = await seal(pcrlock, { cwd });
    expectRefusal(told, 2, /^seal: --format pcrlock: writes several files here; give a new directory as --output/);
    const kept = await seal([...pcrlock, "--output", "keys"], { cwd });
    expectRefusal(kept, 3, /keys: is not empty .*Nothing is overwritten/);
  });
});

describe("--format keylime", () => {
  it("has the keys as Keylime reads them, and the digests of each way to boot", async () => {
    const args = ["boot", "--keys", "keys", "--db", "other/db.auth", "--dbx", "loader.efi"];
    // A firmware with this dbx would refuse the boot loader; the UKI alone it starts.
    const uki = ["uki.efi", ...args.slice(1)];
    const { stdout, stderr } = await measure(...uki, "--format", "keylime");
    expect(stderr).toContain("left out: scrtm_and_bios: only the firmware knows it");
    const state = JSON.parse(stdout);
    expect(Object.keys(state)).toEqual([
      "has_secureboot",
      "pk",
      "kek",
      "db",
      "dbx",
      "vendor_db",
      "mokdig",
      "mokxdig",
      "kernels",
    ]);
    const owner = readFileSync(join(cwd, "keys/GUID.txt"), "utf8").trim();
    const der = readFileSync(join(cwd, "keys/PK.cer")).toString("hex");
    expect(state.pk).toEqual([{ SignatureOwner: owner, SignatureData: `0x${der}` }]);
    expect([state.db.length, state.dbx.length]).toEqual([2, 1]);
    expect(state.dbx[0].SignatureData).toMatch(/^0x[0-9a-f]{64}$/);
    const { boots } = await reference(...uki);
    const digests = boots[0]?.pcrs.map(({ pcr, events }) => [
      pcr,
      events.map((event) => ({ sha256: `0x${event.digests["sha256"]}` })),
    ]);
    expect(state.kernels).toEqual([{ uki: "uki.efi", profile: 0, events: Object.fromEntries(digests ?? []) }]);
  });
});

describe("--format trustee", () => {
  it("is a message whose values are those of all ways to boot", async () => {
    const { stdout } = await measure(
      "boot",
      "--keys",
      "keys",
      "--format",
      "trustee",
      "--phases",
      "enter-initrd,enter-initrd:leave-initrd",
    );
    const message = JSON.parse(stdout);
    expect(message).toEqual({ version: "0.1.0", type: "sample", payload: expect.any(String) });
    const report = await reference("boot", "--keys", "keys", "--phases", "enter-initrd,enter-initrd:leave-initrd");
    const phases = report.boots
      .flatMap(({ pcrs }) => pcrs.flatMap((one) => one.phases ?? []))
      .map(({ values }) => values["sha256"]);
    expect(phases).toHaveLength(2);
    expect(JSON.parse(Buffer.from(message.payload, "base64").toString())).toEqual({
      tpm_pcr04: valuesOf(report, 4, "sha256"),
      tpm_pcr07: valuesOf(report, 7, "sha256"),
      tpm_pcr11: phases,
      tpm_pcr12: valuesOf(report, 12, "sha256"),
      snp_pcr11: phases,
      tdx_pcr11: phases,
    });
  });

  it("leaves out a register that can't be known, and says so", async () => {
    cpSync(join(cwd, "boot"), join(cwd, "credential"), { recursive: true });
    mkdirSync(join(cwd, "credential/loader/credentials"), { recursive: true });
    writeFileSync(join(cwd, "credential/loader/credentials/x.cred"), "x");
    const { stdout, stderr } = await measure("credential", "--no-secure-boot", "--format", "trustee");
    const values = JSON.parse(Buffer.from(JSON.parse(stdout).payload, "base64").toString());
    expect(Object.keys(values)).toEqual(["tpm_pcr04", "tpm_pcr07", "tpm_pcr11", "snp_pcr11", "tdx_pcr11"]);
    expect(stderr).toContain(
      "left out: PCR 12 of EFI/Linux/uki.efi: loader/credentials/x.cred is measured as part of an archive",
    );
  });
});

describe("--format nitro-tpm", () => {
  it("is one document for one way to boot, in SHA-384, on standard output or in a file", async () => {
    const { stdout } = await measure("boot", "--keys", "keys", "--format", "nitro-tpm");
    const report = await reference("boot", "--keys", "keys", "--banks", "sha384");
    const [code, policy, parameters] = [4, 7, 12].map((pcr) => valuesOf(report, pcr, "sha384")[0]);
    expect(JSON.parse(stdout)).toEqual({
      Measurements: { HashAlgorithm: "SHA384", PCR4: code, PCR7: policy, PCR12: parameters },
    });
    await measure("boot", "--keys", "keys", "--format", "nitro-tpm", "--output", "nitro.json");
    expect(readFileSync(join(cwd, "nitro.json"), "utf8")).toBe(stdout);
  });

  it("is a file for each way to boot that gives other values", async () => {
    // Device trees of the UKI are in PCR 11, which goes on: they make no difference.
    await measure("many.efi", "--no-secure-boot", "--format", "nitro-tpm", "--output", "nitro");
    expect(filesBelow("nitro")).toEqual(["many-devicetree-0.json", "many-profile-1-devicetree-0.json"]);
  });
});

describe("--format", () => {
  it("is about images too", async () => {
    const lab = await attestLab();
    const args = ["measure", "--from", "oci:image:1", ...PLATFORM, "--reference", "--no-secure-boot"];
    const plain = referenceReportSchema.parse(JSON.parse(await ok([...args, "--banks", "sha384"], lab.cwd)));
    const { Measurements } = JSON.parse(await ok([...args, "--format", "nitro-tpm"], lab.cwd));
    expect(Measurements).toMatchObject({
      PCR4: valuesOf(plain, 4, "sha384")[0],
      PCR7: valuesOf(plain, 7, "sha384")[0],
    });
  });

  it.each([
    [["--format", "keylime", "--banks", "sha1"], "--banks: cannot be combined with --format keylime"],
    [["--format", "pcrlock", "--phases", "ready"], "--phases: cannot be combined with --format pcrlock"],
    [["--format", "nitro-tpm", "--json"], "--format and --json: give one of them"],
    [["--format", "trustee", "--event-log", "log"], "--format and --event-log: give one of them"],
    [["--format", "corim"], "--format: give one of pcrlock, keylime, trustee, nitro-tpm"],
    [["--output", "x"], "--output: requires --format"],
  ])("refuses %j", async (args, message) => {
    const result = await seal(["measure", "uki.efi", "--reference", "--no-secure-boot", ...args], { cwd });
    expectRefusal(result, 2, new RegExp(`^seal: ${message}`));
  });
});
