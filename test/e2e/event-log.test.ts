/**
 * Machines whose event logs are held against a sealed image: one that booted it, and those that booted it with
 * something else about them.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type EventLogReport, eventLogReportSchema } from "../../src/cli/measure/log.ts";
import {
  BOOT_NEEDS,
  type BootLab,
  efiProgram,
  makeBootLab,
  printedEventLog,
  printedPcrs,
  ukiIn,
} from "../support/boot-lab.ts";
import { seal } from "../support/cli.ts";
import { EVENT_LOG_PEERS, goAttestation, tpm2Eventlog } from "../support/event-log-peers.ts";
import { writeLayout } from "../support/layout.ts";
import { tarLayer } from "../support/lint-image.ts";
import { describeWith } from "../support/peers.ts";

/** What boot-test has the stub add to the command line. */
const ADDED = "console=ttyS0 loglevel=6";
const SIGN = ["--key", "keys/db.key", "--cert", "keys/db.crt"];

describeWith([...BOOT_NEEDS, ...EVENT_LOG_PEERS], "the event log of a machine", () => {
  let lab: BootLab;
  beforeAll(async () => {
    lab = await makeBootLab();
    const boot = readdirSync(join(lab.cwd, "sealed/boot"), { recursive: true, encoding: "utf8" });
    const read = (path: string) => readFileSync(join(lab.cwd, path));
    const files = [
      ...boot
        .filter((path) => /\.efi$/i.test(path))
        .map((path) => [`boot/${path}`, read(`sealed/boot/${path}`)] as const),
      ...["PK", "KEK", "db"].map(
        (name) => [`usr/lib/bootc/install/secureboot-keys/auto/${name}.auth`, read(`keys/${name}.auth`)] as const,
      ),
    ];
    writeLayout(join(lab.cwd, "image"), [tarLayer(Object.fromEntries(files))], {});
  }, 120_000);
  afterAll(() => lab.remove());

  /** Boots, and compares with the image. The PCRs of the TPM are those that all readers of the log replay it to. */
  async function bootAndCompare(directory: string, keys: string): Promise<EventLogReport> {
    const booted = await lab.boot(directory, "--enroll", keys, "--swtpm");
    expect({ code: booted.code, ...booted.report }).toMatchObject({ code: 0, passed: true });
    const log = printedEventLog(booted);
    writeFileSync(join(lab.cwd, `${directory}.events`), log);
    const report = await compare(`${directory}.events`, "--kernel-arguments", ADDED);
    const pcrs = Object.fromEntries(report.pcrs.map(({ pcr, values }) => [pcr, values["sha256"] ?? ""]));
    expect(Object.values(pcrs)).toEqual(printedPcrs(booted));
    const theirs = tpm2Eventlog(log);
    expect(report.banks).toEqual(Object.keys(theirs));
    for (const { pcr, values } of report.pcrs)
      for (const [bank, value] of Object.entries(values)) expect(theirs[bank]?.[pcr]).toBe(value);
    expect(goAttestation(log, pcrs)).toMatchObject({ secureBoot: true });
    return report;
  }
  async function compare(log: string, ...args: readonly string[]): Promise<EventLogReport> {
    const { code, stdout, stderr } = await seal(
      ["measure", "--from", "oci:image", "--platform", "linux/amd64", "--event-log", log, ...args, "--json"],
      lab,
    );
    expect(stdout, stderr).not.toBe("");
    const report = eventLogReportSchema.parse(JSON.parse(stdout));
    expect(code).toBe(report.matches ? 0 : 1);
    return report;
  }
  const textOf = ({ mismatch }: EventLogReport) => `${mismatch?.reason}: ${mismatch?.text}`;

  it("is that of the image which it booted, and another where SMBIOS adds something else", async () => {
    const report = await bootAndCompare("sealed", "keys");
    expect(report).toMatchObject({
      ...{ matches: true, mismatch: null, unknownTypes: 0, notComputed: [] },
      boot: { bootLoader: "EFI/BOOT/BOOTX64.EFI", addons: [], profile: 0, secureBoot: true },
    });
    expect(textOf(await compare("sealed.events"))).toBe(
      `command-line: other command line from SMBIOS: “${ADDED}”, nothing should be added`,
    );
    expect(textOf(await compare("sealed.events", "--kernel-arguments", "quiet"))).toBe(
      `command-line: other command line from SMBIOS: “${ADDED}”, it should be “quiet”`,
    );
    expect(textOf(await compare("sealed.events", "--kernel-arguments", ADDED, "--no-secure-boot"))).toBe(
      "secure-boot: Secure Boot is on, it should be off",
    );
  }, 200_000);

  it("names another UKI by the same key", async () => {
    const boot = lab.copyBoot("other-uki");
    const uki = ukiIn(boot);
    await lab.run("build-uki", "--rootfs", "root", "--cmdline", "other=1", ...SIGN, "--output", "other.efi");
    cpSync(join(lab.cwd, "other.efi"), uki);
    expect(textOf(await bootAndCompare("other-uki", "keys"))).toMatch(
      /^uki: other UKI: \\EFI\\Linux\\.*\.efi with the Authenticode hash .*; EFI\/Linux\/.*\.efi has /,
    );
  }, 200_000);

  it("names another key in db, though nothing was signed by it", async () => {
    mkdirSync(join(lab.cwd, "more"));
    for (const name of ["PK", "KEK"]) cpSync(join(lab.cwd, `keys/${name}.auth`), join(lab.cwd, `more/${name}.auth`));
    const signer = ["--key", "keys/KEK.key", "--cert", "keys/KEK.crt"];
    await lab.run("keys", "auth", "db", "keys/db.crt", "other/db.crt", ...signer, "--output", "more/db.auth");
    lab.copyBoot("other-key");
    expect(textOf(await bootAndCompare("other-key", "more"))).toMatch(
      /^db: other key in db: it has CN=.*, which should not be there$/,
    );
  }, 200_000);

  it("names an addon", async () => {
    const addons = join(lab.copyBoot("addon"), "loader/addons");
    mkdirSync(addons);
    const stub = ["--stub", efiProgram("trixie", "addonx64.efi.stub")];
    await lab.run(
      "build-uki",
      "--cmdline",
      "init=/bin/sh",
      "--os-release",
      "",
      ...stub,
      ...SIGN,
      "--output",
      "extra.addon.efi",
    );
    cpSync(join(lab.cwd, "extra.addon.efi"), join(addons, "extra.addon.efi"));
    expect(textOf(await bootAndCompare("addon", "keys"))).toMatch(
      /^addon: an addon that should not be there was loaded, \\loader\\addons\\extra\.addon\.efi with /,
    );
  }, 200_000);
});
