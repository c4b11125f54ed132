/**
 * The whole chain ends in firmware: what seal made, booted by a UEFI that enforces Secure Boot, and
 * what it must refuse.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { referenceReportSchema } from "../../src/cli/measure/reference.ts";
import { sealReportSchema } from "../../src/cli/sealing/report.ts";
import { verifyDirectoryReportSchema } from "../../src/cli/verify/directory.ts";
import { parseVariableUpdate } from "../../src/sign/authvar.ts";
import {
  BOOT_NEEDS,
  type Booted,
  type BootLab,
  efiProgram,
  makeBootLab,
  printedEventLog,
  printedPcrs,
  ukiIn,
  writePrintedEfivars,
} from "../support/boot-lab.ts";
import { seal } from "../support/cli.ts";
import { writeEfivars } from "../support/efivars.ts";
import { describeWith } from "../support/peers.ts";

/** A file with the first byte of a text in it changed. */
function changed(path: string, text: string): Uint8Array {
  const bytes = readFileSync(path);
  bytes.write("5", bytes.indexOf(text));
  return bytes;
}

/** The sealed UKI, with an addon beside it and one for all UKIs. */
async function layOutWithAddons({ cwd, run }: BootLab): Promise<void> {
  for (const name of ["own", "all"]) {
    const stub = ["--stub", efiProgram("trixie", "addonx64.efi.stub")];
    await run("build-uki", ...stub, "--cmdline", `addon.${name}=1`, "--output", `${name}.addon.efi`);
  }
  const addons = ["--addon", "own.addon.efi", "--global-addon", "all.addon.efi"];
  const signing = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
  const sealed = ["--uki", ukiIn(join(cwd, "sealed/boot")), "--rootfs", "root"];
  await run("boot-layout", ...sealed, ...addons, ...signing, "--output", "addons");
}

describeWith(BOOT_NEEDS, "a machine with Secure Boot", () => {
  const results = new Map<string, Booted>();
  let lab: BootLab;
  let cmdline = "";
  const result = (name: string): Booted => {
    const booted = results.get(name);
    if (booted === undefined) throw new Error(`${name} was not run`);
    return booted;
  };

  beforeAll(async () => {
    lab = await makeBootLab();
    const { cwd } = lab;
    cmdline = sealReportSchema.parse(JSON.parse(readFileSync(join(cwd, "sealed/report.json"), "utf8"))).cmdline;
    const sealed = ukiIn(join(cwd, "sealed/boot"));
    // The initramfs is not compressed.
    writeFileSync(ukiIn(lab.copyBoot("tampered")), changed(sealed, "SEALED-OK"));
    await lab.run("sign", ukiIn(lab.copyBoot("foreign")), "--key", "other/db.key", "--cert", "other/db.crt");
    await lab.run("keys", "esl", ukiIn(lab.copyBoot("revoked")), "--output", "revoked.esl");
    lab.copyBoot("setup");
    await layOutWithAddons(lab);
    lab.directBoot("unsigned", readFileSync(join(cwd, "uki.efi")));
    lab.directBoot("cmdline", changed(sealed, cmdline));

    // Two machines at a time, one a core.
    const lane = async (...machines: readonly (readonly [string, ...string[]])[]) => {
      for (const [boot, ...args] of machines) results.set(boot, await lab.boot(boot, ...args));
    };
    await Promise.all([
      lane(
        ["sealed", "--enroll", "keys", "--swtpm"],
        ["addons", "--enroll", "keys", "--swtpm"],
        ["revoked", "--enroll", "keys", "--dbx", ukiIn(join(cwd, "revoked"))],
        ["foreign", "--cert", "keys/db.crt"],
      ),
      lane(
        ["tampered", "--enroll", "keys"],
        ["setup", "--setup-mode", "--swtpm"],
        ["unsigned", "--enroll", "keys"],
        ["cmdline", "--enroll", "keys"],
      ),
    ]);
  }, 700_000);

  afterAll(() => lab.remove());

  it("boots what was sealed and signed, with the digest on its command line", () => {
    const { code, report, log } = result("sealed");
    expect({ code, ...report }).toMatchObject({ code: 0, passed: true, reached: "expected", end: "reached" });
    expect(cmdline).toMatch(/composefs=[0-9a-f]{128}/);
    expect(log).toContain(`cmdline: ${cmdline}`);
    expect(log).toContain("SecureBoot: 06 00 00 00 01");
  });

  it.each([
    ["with one byte of the initramfs changed", "tampered"],
    ["that was revoked by its hash", "revoked"],
    ["signed by a key that the firmware does not know", "foreign"],
  ])("refuses a UKI %s", (_, name) => {
    const { code, report, log } = result(name);
    expect({ code, ...report }).toMatchObject({ code: 1, passed: false, reached: "boot-loader", end: "refused" });
    expect(report.refused).toEqual({ by: "boot-loader", file: expect.stringMatching(/^EFI\/Linux\/.*\.efi$/) });
    expect(log).not.toContain("SEALED");
  });

  it.each([
    ["that is not signed", "unsigned"],
    ["with one byte of the command line changed", "cmdline"],
  ])("refuses a UKI %s, also without a boot loader", (_, name) => {
    const { code, report, log } = result(name);
    expect({ code, ...report }).toMatchObject({ code: 1, passed: false, end: "refused" });
    expect(report.refused).toEqual({ by: "firmware", file: "EFI/BOOT/BOOTX64.EFI" });
    expect(log).not.toContain("SEALED");
  });

  it.each([
    ["sealed", []],
    ["addons", []],
    ["revoked", ["--dbx", "revoked.esl"]],
    ["foreign", []],
    ["tampered", []],
    ["unsigned", []],
    ["cmdline", []],
  ])("is what seal verify said of the directory: %s", async (name, args) => {
    const verdict = await seal(["verify", name, "--keys", "keys", ...args, "--json"], { cwd: lab.cwd });
    const { programs } = verifyDirectoryReportSchema.parse(JSON.parse(verdict.stdout));
    const refused = programs.flatMap(({ path, outcome }) => (outcome === "refused" ? [path] : []));
    const { code, report } = result(name);
    expect({ code: verdict.code, refused }).toEqual({ code, refused: [report.refused?.file ?? []].flat() });
  });

  it("has the variables by which seal verify judges, in efivarfs", async () => {
    const efivars = join(lab.cwd, "efivars");
    writePrintedEfivars(result("sealed"), efivars);
    const values = Object.fromEntries(
      ["PK", "KEK", "db"].map((name) => {
        const update = parseVariableUpdate(readFileSync(join(lab.cwd, `keys/${name}.auth`)), name);
        return [name, update.value];
      }),
    );
    const expected = join(lab.cwd, "expected");
    writeEfivars(expected, { ...values, SecureBoot: Uint8Array.of(1) });
    const read = (directory: string) =>
      readdirSync(directory).map((file) => [file, readFileSync(join(directory, file)).toString("hex")]);
    expect(read(efivars)).toEqual(read(expected));

    const verify = (name: string) =>
      seal(["verify", name, "--json"], { cwd: lab.cwd, env: { EFIVARFS_PATH: efivars } });
    const sealed = await verify("sealed");
    expect(sealed).toMatchObject({ code: 0, stderr: "" });
    expect(verifyDirectoryReportSchema.parse(JSON.parse(sealed.stdout))).toMatchObject({
      valid: true,
      secureBoot: "on",
    });
    expect((await verify("foreign")).code).toBe(1);
  });

  it("enrols the keys in loader/keys/auto by itself, and boots with Secure Boot on", () => {
    const { code, report, log } = result("setup");
    expect({ code, ...report }).toMatchObject({ code: 0, passed: true, secureBoot: "setup", end: "reached" });
    expect(log).toContain("SecureBoot: 06 00 00 00 01");
  });

  it("adds to the command line what addons say, those for all UKIs first", () => {
    const { code, log } = result("addons");
    expect(code).toBe(0);
    expect(log).toContain(`cmdline: ${cmdline} addon.all=1 addon.own=1`);
  });

  it.each([
    ["with keys enrolled before", "sealed"],
    ["with keys enrolled by itself", "setup"],
    ["with addons", "addons"],
  ])("measures what was computed, %s", (_, name) => {
    const { report } = result(name);
    const compared = report.pcrs?.filter(({ matches }) => matches !== null) ?? [];
    expect(compared.map(({ pcr, matches, phase }) => ({ pcr, matches, phase }))).toEqual(
      [4, 7, 11, 12].map((pcr) => ({ pcr, matches: true, phase: null })),
    );
    // The guest reads the same values.
    expect(printedPcrs(result(name))).toEqual(compared.map(({ value }) => value));
  });

  it("logs the events that were computed, in all banks", async () => {
    writeFileSync(join(lab.cwd, "log"), printedEventLog(result("sealed")));
    const machine = ["--keys", "keys", "--kernel-arguments", "console=ttyS0 loglevel=6"];
    const args = ["--reference", ...machine, "--banks", "sha1,sha256,sha384,sha512", "--event-log", "log"];
    const { stdout } = await lab.run("measure", "sealed", ...args);
    const { boots } = referenceReportSchema.parse(JSON.parse(stdout));
    expect(boots.flatMap(({ pcrs }) => pcrs.map(({ pcr, difference }) => ({ pcr, difference })))).toEqual(
      [4, 7, 11, 12].map((pcr) => ({ pcr, difference: null })),
    );
  });
});
