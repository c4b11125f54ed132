/**
 * What is measured when more than a boot loader and a UKI is loaded, or less, or nothing is enforced; and
 * signatures from elsewhere.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { referenceReportSchema } from "../../src/cli/measure/reference.ts";
import {
  BOOT_NEEDS,
  type Booted,
  type BootLab,
  efiProgram,
  makeBootLab,
  printedEventLog,
  ukiIn,
} from "../support/boot-lab.ts";
import { seal } from "../support/cli.ts";
import { cpioArchive, cpioProgram } from "../support/cpio.ts";
import { describeWith, type Peer, runPeer, SOFTHSM_MODULE } from "../support/peers.ts";
import { expectVerified, VERIFIER_NEEDS } from "../support/verifiers.ts";

const PIN = "2222";
/** What boot-test has the stub add to the command line. */
const ARGUMENTS = ["--kernel-arguments", "console=ttyS0 loglevel=6"];

/** Runs a peer that must succeed. */
function peer(cwd: string, name: Peer, ...args: readonly string[]): void {
  const result = runPeer(name, args, { cwd });
  if (result.status !== 0) throw new Error(`${name} ${args.join(" ")}: ${result.stdout.toString()}${result.stderr}`);
}

/** Puts db's key and certificate into a token. */
function makeToken(cwd: string): void {
  mkdirSync(join(cwd, "tokens"));
  writeFileSync(join(cwd, "softhsm2.conf"), `directories.tokendir = ${cwd}/tokens\nlog.level = ERROR\n`);
  // The module reads it with getenv, in this process.
  process.env["SOFTHSM2_CONF"] = join(cwd, "softhsm2.conf");
  peer(cwd, "softhsm2-util", "--init-token", "--free", "--label", "seal", "--so-pin", "1111", "--pin", PIN);
  const login = ["--module", SOFTHSM_MODULE, "--login", "--pin", PIN, "--token-label", "seal"];
  for (const [file, type] of [
    ["keys/db.key", "privkey"],
    ["keys/db.crt", "cert"],
  ] as const)
    peer(cwd, "pkcs11-tool", ...login, "--write-object", file, "--id", "01", "--label", "db", "--type", type);
}

/** A `/boot` of four programs, each signed with db's key in another way, in which seal never sees the key. */
async function signedElsewhere({ cwd, run, copyBoot }: BootLab): Promise<string> {
  makeToken(cwd);
  const boot = copyBoot("elsewhere");
  const [loader, uki] = [join(boot, "EFI/BOOT/BOOTX64.EFI"), ukiIn(boot)];
  const [forAll, forOne] = [join(boot, "loader/addons"), `${uki}.extra.d`];
  for (const directory of [forAll, forOne]) mkdirSync(directory);
  for (const name of ["all", "one"]) {
    const archive = cpioArchive([cpioProgram(name, Buffer.from(name))]);
    writeFileSync(join(cwd, `${name}.cpio`), archive);
    writeFileSync(join(cwd, `${name}.dtb`), `tree of ${name}`);
  }
  const addon = async (name: string, text: string, path: string) => {
    const stub = ["--stub", efiProgram("trixie", "addonx64.efi.stub")];
    const files = ["--devicetree", `${name}.dtb`, "--microcode", `${name}.cpio`, "--initrd", `${name}.cpio`];
    await run("build-uki", "--cmdline", text, "--os-release", "", ...files, ...stub, "--output", path);
    return path;
  };
  const [global, own] = [
    await addon("all", "all.ukis=1", join(forAll, "a.addon.efi")),
    await addon("one", "one.uki=1", join(forOne, "b.addon.efi")),
  ];
  // The firmware refuses what nobody signed, and the stub goes on.
  await addon("one", "never=1", join(forOne, "unsigned.addon.efi"));

  // A request goes out, PKCS#7 comes in.
  writeFileSync(loader, readFileSync(efiProgram("trixie", "systemd-bootx64.efi")));
  await run("sign", loader, "--export-request", "loader.req");
  const certs = ["-h", "sha256", "-certs", "keys/db.crt", "-key", "keys/db.key"];
  peer(cwd, "osslsigncode", "sign", ...certs, "-in", "loader.req", "-out", "loader.p7");
  await run("sign", loader, "--attach-pkcs7", "loader.p7", "--cert", "keys/db.crt");
  // The key is in a token.
  writeFileSync(uki, readFileSync(join(cwd, "uki.efi")));
  const token = ["--key", "pkcs11:token=seal;object=db", "--passphrase-env", "PIN"];
  const env = { PKCS11_MODULE_PATH: SOFTHSM_MODULE, PIN };
  expect(await seal(["sign", uki, ...token], { cwd, env })).toMatchObject({ code: 0, stderr: "" });
  // Detached PKCS#7 of another tool.
  peer(cwd, "sbsign", "--detached", "--key", "keys/db.key", "--cert", "keys/db.crt", "--output", "addon.p7", global);
  await run("sign", global, "--attach-pkcs7", "addon.p7", "--cert", "keys/db.crt");
  // Attributes go out, a raw signature comes in.
  await run("sign", own, "--export-tbs", "addon.tbs", "--signing-time", "now");
  peer(cwd, "openssl", "dgst", "-sha256", "-sign", "keys/db.key", "-out", "addon.sig", "addon.tbs");
  await run("sign", own, "--attach-signature", "addon.sig", "--tbs", "addon.tbs", "--cert", "keys/db.crt");
  return boot;
}

/** Compares the log of a machine with what is computed for it. @returns what was to be loaded into PCR 4 */
async function compareLog(
  lab: BootLab,
  booted: Booted,
  directory: string,
  ...keys: readonly string[]
): Promise<string[]> {
  writeFileSync(join(lab.cwd, "log"), printedEventLog(booted));
  const { stdout } = await lab.run("measure", directory, "--reference", ...keys, ...ARGUMENTS, "--event-log", "log");
  const pcrs = referenceReportSchema.parse(JSON.parse(stdout)).boots[0]?.pcrs ?? [];
  expect(pcrs.map(({ difference }) => difference)).toEqual([null, null, null, null]);
  const loaded = pcrs[0]?.events.filter(({ type }) => type === "EV_EFI_BOOT_SERVICES_APPLICATION") ?? [];
  return loaded.map(({ description }) => description);
}

describeWith(
  [...BOOT_NEEDS, ...VERIFIER_NEEDS, "softhsm2-util", "pkcs11-tool", "openssl", "osslsigncode", "sbsign"],
  "a machine that is measured",
  () => {
    let lab: BootLab;
    beforeAll(async () => {
      lab = await makeBootLab();
    });
    afterAll(() => {
      delete process.env["SOFTHSM2_CONF"];
      lab.remove();
    });

    it("accepts signatures by a token and by the three detached ways, and measures addons", async () => {
      const boot = await signedElsewhere(lab);
      const booted = await lab.boot("elsewhere", "--enroll", "keys", "--swtpm");
      expect({ code: booted.code, ...booted.report }).toMatchObject({ code: 0, passed: true, end: "reached" });
      expect(booted.log).toContain("SecureBoot: 06 00 00 00 01");
      expect(booted.log).toMatch(/^cmdline: .* all\.ukis=1 one\.uki=1 /m);
      const uki = ukiIn(boot).slice(boot.length + 1);
      expect(await compareLog(lab, booted, "elsewhere", "--keys", "keys")).toEqual([
        "EFI/BOOT/BOOTX64.EFI",
        uki,
        "loader/addons/a.addon.efi",
        `${uki}.extra.d/b.addon.efi`,
      ]);
      await expectVerified(lab, booted, "elsewhere", ["--keys", "keys"]);
    }, 200_000);

    it("measures the kernel too where nothing is enforced", async () => {
      const booted = await lab.boot("sealed", "--no-secure-boot", "--swtpm");
      expect({ code: booted.code, ...booted.report }).toMatchObject({ code: 0, passed: true });
      expect(booted.log).toContain("SecureBoot: 06 00 00 00 00");
      const loaded = await compareLog(lab, booted, "sealed", "--no-secure-boot");
      expect(loaded.at(-1)).toMatch(/^EFI\/Linux\/.*\.efi: \.linux$/);
      await expectVerified(lab, booted, "sealed", ["--no-secure-boot"]);
    }, 200_000);

    it("starts the newest stub without a boot loader, and its kernel is not measured by itself", async () => {
      const sign = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
      const stub = ["--stub", efiProgram("sid", "linuxx64.efi.stub")];
      await lab.run("build-uki", "--rootfs", "root", ...stub, ...sign, "--output", "direct.efi");
      lab.directBoot("direct", readFileSync(join(lab.cwd, "direct.efi")));
      for (const args of [["--enroll", "keys"], ["--no-secure-boot"]]) {
        const booted = await lab.boot("direct", ...args, "--swtpm");
        expect({ code: booted.code, ...booted.report }).toMatchObject({ code: 0, passed: true });
        expect(await compareLog(lab, booted, "direct", ...args)).toEqual(["EFI/BOOT/BOOTX64.EFI"]);
      }
    }, 300_000);
  },
);
