/**
 * measure --event-log as people and scripts call it; which words are for which event is in test/seal/log-words.test.ts.
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromHex } from "../../../src/bytes.ts";
import { type EventLogReport, eventLogReportSchema } from "../../../src/cli/measure/log.ts";
import { referenceReportSchema } from "../../../src/cli/measure/reference.ts";
import { EVENT_TYPES, type EventType } from "../../../src/pe/pcr-events.ts";
import { type CliResult, seal } from "../../support/cli.ts";
import type { EventToLog } from "../../support/event-log.ts";
import { expectRefusal } from "../../support/inputs.ts";
import { writeLayout } from "../../support/layout.ts";
import { tarLayer } from "../../support/lint-image.ts";
import {
  action,
  LOG_BANKS,
  type LogLab,
  logBytes,
  makeLogLab,
  program,
  TAKEOVER,
  text,
} from "../../support/machine-log.ts";
import { vector } from "../../support/vectors.ts";

let lab: LogLab;
const KEYS = ["--keys", "keys"];

beforeAll(async () => {
  lab = await makeLogLab();
  writeFileSync(join(lab.cwd, "log"), logBytes(lab.events()));
  const boot = Object.fromEntries(
    (
      await lab
        .run("measure", "boot", "--reference", ...KEYS)
        .then((out) => referenceReportSchema.parse(JSON.parse(out)))
    ).boots.flatMap(({ uki, bootLoader }) =>
      [uki, bootLoader ?? ""].map((path) => [`boot/${path}`, lab.read(`boot/${path}`)] as const),
    ),
  );
  const auto = Object.fromEntries(
    ["PK", "KEK", "db"].map((name) => [
      `usr/lib/bootc/install/secureboot-keys/auto/${name}.auth`,
      lab.read(`keys/${name}.auth`),
    ]),
  );
  const layout = (name: string, files: Parameters<typeof tarLayer>[0]) =>
    writeLayout(join(lab.cwd, name), [tarLayer(files)], {});
  // Neither boot loader nor stub takes a directory for a program.
  layout("sealed", { ...boot, ...auto, "boot/EFI/Linux/a.efi/x": new Uint8Array() });
  layout("keyless", boot);
  layout("renewed", { ...boot, ...auto, "usr/lib/systemd/boot/efi/systemd-bootx64.efi": lab.read("a.addon.efi") });
}, 60_000);
afterAll(() => rmSync(lab.cwd, { recursive: true, force: true }));

function check(events: readonly EventToLog[] | null, ...args: readonly string[]): Promise<CliResult> {
  writeFileSync(join(lab.cwd, "other-log"), logBytes(events ?? lab.events()));
  return seal(["measure", ...args, "--event-log", events === null ? "log" : "other-log"], { cwd: lab.cwd });
}
const report = ({ stdout }: CliResult): EventLogReport => eventLogReportSchema.parse(JSON.parse(stdout));

describe("measure --event-log", () => {
  it("says that the log is that of a machine which booted it, and what a quote must have", async () => {
    const { code, stdout, stderr } = await check(null, "boot", ...KEYS);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [verdict, counts, proof, ...values] = stdout.trimEnd().split("\n");
    expect(verdict).toMatch(
      /^✓ log: from a machine that booted boot: EFI\/Linux\/.*\.efi, by EFI\/BOOT\/BOOTX64\.EFI, Secure Boot on$/,
    );
    expect(counts).toBe(
      "  22 events as computed (PCR 4, 7, 11, 12; sha1, sha256, sha384); skipped: 11 the firmware's (PCR 0–3, 5, 6), 1 attempts to boot (PCR 4), 1 Linux' (PCR 9)",
    );
    expect(proof).toMatch(/^ {2}a log alone proves nothing/);
    const { boots } = referenceReportSchema.parse(JSON.parse(await lab.run("measure", "boot", "--reference", ...KEYS)));
    expect(values).toEqual(boots[0]?.pcrs.map(({ pcr, values: own }) => `${pcr}:sha256=${own["sha256"]}`));
  });

  it("names the first event that is not, and exits with 1", async () => {
    const events = lab.events().toSpliced(-2, 0, text("debug"));
    const { code, stdout, stderr } = await check(events, "boot", ...KEYS);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(stdout).toMatch(
      /^✗ other-log: not from a machine that booted boot \(event \d+, PCR 12\): other command line from SMBIOS: “debug”, nothing should be added\n {2}before it 22 events as computed/,
    );
    const json = await check(events, "boot", ...KEYS, "--json");
    expect(json.code).toBe(1);
    expect(report(json)).toMatchObject({
      ...{ eventLog: "other-log", booted: "boot", matches: false, banks: LOG_BANKS },
      mismatch: { event: events.length - 1, pcr: 12, type: "EV_IPL", reason: "command-line" },
      boot: { bootLoader: "EFI/BOOT/BOOTX64.EFI", profile: 0, secureBoot: true },
    });
    expect((await check(events, "boot", ...KEYS, "--kernel-arguments", "debug")).code).toBe(0);
  });

  it("takes a UKI with its boot loader, and compares in the banks that are asked for", async () => {
    const uki = ["uki.efi", "--bootloader", "loader.efi", ...KEYS, "--banks", "sha384", "--json"];
    const found = await check(null, ...uki);
    expect(report(found)).toMatchObject({
      matches: true,
      banks: ["sha384"],
      boot: { uki: "uki.efi", bootLoader: "loader.efi" },
    });
    const alone = await check(null, "uki.efi", ...KEYS, "--json");
    expect(report(alone)).toMatchObject({ matches: false, mismatch: { reason: "uki" } });
  });

  it("says which profile of a UKI was booted", async () => {
    writeFileSync(join(lab.cwd, "addon"), vector("uki/inputs/stub-nosbat"));
    const profile = (id: string, ...args: string[]) =>
      lab.run("build-uki", "--profile", `ID=${id}`, ...args, "--stub", "addon", "--output", `${id}.efi`);
    await profile("rescue", "--cmdline", "rescue=1");
    writeFileSync(join(lab.cwd, "sdmagic"), "#### LoaderInfo: systemd-stub 257.1 ####");
    const base = [
      "--linux",
      "kernel",
      "--initrd",
      "initrd-1",
      "--cmdline",
      "a=b",
      "--os-release",
      "ID=x",
      "--profile",
      "ID=main",
    ];
    const sign = ["--key", "keys/db.key", "--cert", "keys/db.crt", "--section", ".sdmagic:@sdmagic"];
    await lab.run(
      "build-uki",
      ...base,
      "--join-profile",
      "rescue.efi",
      "--stub",
      "stub-plain",
      ...sign,
      "--output",
      "multi.efi",
    );
    const uki = ["multi.efi", "--bootloader", "loader.efi", ...KEYS];
    const { boots } = referenceReportSchema.parse(
      JSON.parse(await lab.run("measure", ...uki, "--reference", "--banks", LOG_BANKS.join(","))),
    );
    expect(boots.map(({ profileId }) => profileId)).toEqual(["main", "rescue"]);
    for (const { profile: number, profileId, pcrs } of boots) {
      const events = pcrs.flatMap(({ pcr, events: own }) =>
        own.map(({ type, digests }) => ({
          ...{ pcr, type: EVENT_TYPES[type as EventType], data: Buffer.of() },
          digests: Object.fromEntries(
            Object.entries(digests).map(([bank, digest]) => [bank, fromHex(digest) ?? Buffer.of()]),
          ),
        })),
      );
      const calling = action(4, "Calling EFI Application from Boot Option");
      const found = await check([calling, ...events.slice(1), action(5, TAKEOVER)], ...uki, "--json");
      expect(report(found)).toMatchObject({ matches: true, boot: { profile: number, profileId } });
      expect(
        (await check([calling, ...events.slice(1), action(5, TAKEOVER)], ...uki)).stdout.includes("profile 1 (rescue)"),
      ).toBe(number === 1);
    }
  });

  it("warns of what the firmware would not start, and tells what it can't compute", async () => {
    cpSync(join(lab.cwd, "boot"), join(lab.cwd, "more"), { recursive: true });
    const { boot } = report(await check(null, "boot", ...KEYS, "--json"));
    for (const [name, file] of [
      ["loader/addons/a.addon.efi", lab.read("a.addon.efi")],
      [`${boot.uki}.extra.d/x.cred`, Buffer.of(1)],
    ] as const) {
      mkdirSync(join(lab.cwd, "more", name, ".."), { recursive: true });
      writeFileSync(join(lab.cwd, "more", name), file);
    }
    const found = await check(null, "more", ...KEYS);
    expect(found.code).toBe(0);
    expect(found.stderr).toMatch(/^warning: loader\/addons\/a\.addon\.efi: firmware with these keys does not start it/);
    expect(found.stdout).toContain("\n  PCR 12 is not computed: ");
  });
});

describe("measure --from", () => {
  it("compares with an image, on a machine that enrolled the keys in it", async () => {
    const { code, stdout } = await check(null, "--from", "oci:sealed");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^✓ log: from a machine that booted oci:sealed: EFI\/Linux\//);
    const other = lab
      .events()
      .map((one) =>
        Buffer.from(one.data).includes("L\0i\0n\0u\0x") && one.pcr === 4 ? program("\\x.efi", lab.read("kernel")) : one,
      );
    expect((await check(other, "--from", "oci:sealed")).stdout).toMatch(
      /^✗ other-log: not from a machine that booted oci:sealed \(.*\): other UKI: /,
    );
  });

  it("takes the boot loader that bootc installs for another way to boot", async () => {
    const { boots } = referenceReportSchema.parse(
      JSON.parse(await lab.run("measure", "--reference", "--from", "oci:renewed", "--no-secure-boot")),
    );
    expect(boots.map(({ bootLoader }) => bootLoader)).toEqual([
      "EFI/BOOT/BOOTX64.EFI",
      "usr/lib/systemd/boot/efi/systemd-bootx64.efi",
    ]);
    expect(report(await check(null, "--from", "oci:renewed", "--json"))).toMatchObject({ matches: true });
  });

  it("wants the keys where the image brings none, and takes those that are given first", async () => {
    expectRefusal(await check(null, "--from", "oci:keyless"), 2, /^seal: --event-log: give the keys of the firmware/);
    expect((await check(null, "--from", "oci:keyless", ...KEYS)).code).toBe(0);
    // Nothing in the image is signed by a key in the other db.
    expectRefusal(
      await check(null, "--from", "oci:sealed", "--keys", "other"),
      1,
      /firmware with these keys does not start it/,
    );
  });

  it.each([
    [["uki.efi", "--from", "oci:sealed"], 2, /^seal: --from: .*give only one/],
    [["--from", "oci:sealed", "--bootloader", "loader.efi"], 2, /an image has its own boot loader/],
    [["--from", "uki.efi"], 2, /^seal: --from uki\.efi: give an image/],
    [["boot"], 2, /^seal: --event-log: give the keys/],
    [[], 2, /^seal: file: give a file, or --from IMAGE/],
    [["keys", ...KEYS], 3, /^seal: keys: has no UKI in EFI\/Linux/],
  ] as const)("refuses %j", async (args, code, message) => {
    expectRefusal(await check(null, ...args), code, message);
  });
  it("means nothing without a log or --reference", async () => {
    const refused = (...args: string[]) => seal(["measure", ...args], { cwd: lab.cwd });
    expectRefusal(await refused("--from", "oci:sealed"), 2, /^seal: --from: requires --reference or --event-log\n$/);
    expectRefusal(await refused(), 2, /^seal: file: give a file/);
  });
});

describe("logs that are none", () => {
  const given = (bytes: Uint8Array) => {
    writeFileSync(join(lab.cwd, "bad"), bytes);
    return seal(["measure", "boot", ...KEYS, "--event-log", "bad"], { cwd: lab.cwd });
  };
  it("are refused in one line", async () => {
    const log = readFileSync(join(lab.cwd, "log"));
    const hostile = Buffer.from(log);
    hostile.writeUInt32LE(0xffffffff, 28);
    for (const [bytes, message] of [
      [Buffer.of(), /^seal: bad: truncated/],
      [log.subarray(0, -5), /^seal: bad: truncated or corrupt: event \d+ needs bytes/],
      [hostile, /^seal: bad: truncated or corrupt/],
      [Buffer.concat([log, Buffer.alloc(3)]), /^seal: bad: truncated/],
      [Buffer.alloc(100), /^seal: bad: is not an event log of TPM 2\.0/],
      [logBytes(lab.events(), ["sha1"]), /^seal: bad: has SHA-1 digests only/],
    ] as const)
      expectRefusal(await given(bytes), 3, message);
  });
});
