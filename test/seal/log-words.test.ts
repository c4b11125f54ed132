/** The words for the first event of a log that is not as it should be: one case for each of its kinds. */
import { describe, expect, it } from "vitest";
import { EVENT_TYPES } from "../../src/pe/pcr-events.ts";
import { VARIABLE_VENDORS } from "../../src/sign/authvar.ts";
import { readPolicy } from "../../src/sign/secure-boot-policy.ts";
import { certificateList, encodeSignatureLists, imageHashList, parseSignatureLists } from "../../src/sign/siglist.ts";
import { type Given, isProgram, isVariable, useCheckLab } from "../support/check-log.ts";
import type { EventToLog } from "../support/event-log.ts";
import {
  action,
  authority,
  event,
  firstEntry,
  program,
  TAKEOVER,
  tagged,
  text,
  utf16,
  variable,
} from "../support/machine-log.ts";

const lab = useCheckLab();

/** A log of a machine without keys. @param state what its variable SecureBoot holds */
function withoutKeys(events: readonly EventToLog[], state: Uint8Array): EventToLog[] {
  return events
    .filter(({ type }) => type !== EVENT_TYPES.EV_EFI_VARIABLE_AUTHORITY)
    .map((one) => {
      const name = ["SecureBoot", "PK", "KEK", "db"].find((name) => isVariable(name)(one));
      return name === undefined ? one : variable(name, name === "SecureBoot" ? state : Buffer.of());
    });
}

describe("the first event that is not", () => {
  const other = () => lab().value("other", "db");
  const listed = () => parseSignatureLists(lab().value("keys", "db"), "db");
  const hashes = (...bytes: number[]) =>
    imageHashList(
      VARIABLE_VENDORS.PK,
      bytes.map((byte) => Buffer.alloc(32, byte)),
    );
  const db = (...lists: Parameters<typeof encodeSignatureLists>[0][number][]) =>
    lab().replaced(isVariable("db"), variable("db", encodeSignatureLists(lists)));
  function never(): never {
    throw new Error("unreachable");
  }
  const owner = () => other().subarray(28, 44);

  const CASES: readonly (readonly [string, () => EventToLog[], string, RegExp, (() => Given)?])[] = [
    [
      "other loader",
      () => lab().replaced(isProgram("BOOTX64"), program("\\EFI\\BOOT\\BOOTX64.EFI", lab().read("kernel"))),
      "boot-loader",
      /^other boot loader: \\EFI\\BOOT\\BOOTX64\.EFI with the Authenticode hash \w{4}…\w{4} \(sha256\); EFI\/BOOT\/BOOTX64\.EFI has \w{4}…\w{4}$/,
    ],
    [
      "other UKI",
      () => lab().replaced(isProgram("Linux"), program("\\EFI\\Linux\\2.efi", lab().read("stub-plain"))),
      "uki",
      /^other UKI: \\EFI\\Linux\\2\.efi with .*; EFI\/Linux\/.*\.efi has /,
    ],
    [
      "a UKI in the place of the loader",
      () => lab().replaced(isProgram("BOOTX64")),
      "boot-loader",
      /^other boot loader: \\EFI\\Linux\\1\.efi /,
    ],
    [
      "an addon",
      () =>
        lab().replaced(
          isProgram("Linux"),
          program("\\EFI\\Linux\\1.efi", lab().read("uki.efi")),
          program("\\x.efi.extra.d\\a.addon.efi", lab().read("a.addon.efi")),
        ),
      "addon",
      /^an addon that should not be there was loaded, \\x\.efi\.extra\.d\\a\.addon\.efi with /,
    ],
    [
      "another program behind the UKI",
      () => lab().atEnd(program("\\evil.efi", lab().read("a.addon.efi"))),
      "other-program",
      /^another program was loaded, \\evil\.efi with /,
    ],
    [
      "the kernel",
      () => lab().atEnd(program("", lab().read("kernel"))),
      "kernel",
      /^the firmware also measured the kernel in the UKI/,
    ],
    [
      "a driver",
      () =>
        lab().replaced(
          isProgram("BOOTX64"),
          program("\\d.efi", lab().read("a.addon.efi"), "EV_EFI_BOOT_SERVICES_DRIVER"),
        ),
      "driver",
      /^a driver was loaded, \\d\.efi with /,
    ],
    [
      "a text of SMBIOS",
      () => lab().atEnd(text("debug init=/bin/sh")),
      "command-line",
      /^other command line from SMBIOS: “debug init=\/bin\/sh”, nothing should be added$/,
    ],
    [
      "another text of SMBIOS",
      () => lab().atEnd(text("quiet rw")),
      "command-line",
      /^other command line from SMBIOS: “quiet rw”, it should be “quiet”$/,
      () => ({ kernelArguments: "quiet" }),
    ],
    [
      "no text of SMBIOS",
      () => lab().events(),
      "missing",
      /^what the machine adds to the command line: quiet was not measured$/,
      () => ({ kernelArguments: "quiet" }),
    ],
    [
      "Secure Boot off",
      () => lab().replaced(isVariable("SecureBoot"), variable("SecureBoot", Buffer.of(0))),
      "secure-boot",
      /^Secure Boot is off, it should be on$/,
    ],
    [
      "another platform key",
      () => lab().replaced(isVariable("PK"), variable("PK", lab().value("other", "PK"))),
      "platform-key",
      /^other platform key \(PK\): it has CN=.* \(SHA-256 .*\), which should not be there; it lacks CN=/,
    ],
    [
      "another KEK",
      () => lab().replaced(isVariable("KEK"), variable("KEK", lab().value("other", "KEK"))),
      "key-exchange-keys",
      /^other key in KEK: it has CN=/,
    ],
    [
      "another key in db",
      () => lab().replaced(isVariable("db"), variable("db", other())),
      "db",
      /^other key in db: it has CN=.* \(SHA-256 .*\), which should not be there; it lacks CN=/,
    ],
    [
      "one key more in db",
      () => lab().replaced(isVariable("db"), variable("db", Buffer.concat([lab().value("keys", "db"), other()]))),
      "db",
      /^other key in db: it has CN=[^;]*, which should not be there$/,
    ],
    [
      "more in db than is told",
      () => db(...listed(), hashes(1, 2, 3, 4, 5)),
      "db",
      /it has the hash 0101…0101 of a program, .* and 2 more, which/,
    ],
    [
      "an empty db",
      () => lab().replaced(isVariable("db"), variable("db", Buffer.of())),
      "db",
      /^other key in db: it is empty$/,
    ],
    [
      "a db of no lists",
      () => lab().replaced(isVariable("db"), variable("db", Buffer.from("text"))),
      "db",
      /^other key in db: it holds 4 bytes that are not signature lists$/,
    ],
    [
      "another owner in db",
      () =>
        db(...listed().map(({ signatures }) => certificateList(VARIABLE_VENDORS.PK, signatures[0]?.data ?? never()))),
      "db",
      /^other key in db: it has the same entries in another order, or with other owners$/,
    ],
    [
      "another dbx",
      () => lab().replaced(isVariable("dbx"), variable("dbx", encodeSignatureLists([hashes(7)]))),
      "dbx",
      /^dbx differs: it has the hash 0707…0707 of a program, which should not be there$/,
    ],
    [
      "a variable that is not among them",
      () => lab().replaced(isVariable("dbx"), variable("dbt", Buffer.of())),
      "other-variable",
      /^the firmware measured the variable dbt, which is not one of those given$/,
    ],
    [
      "a variable whose data were changed",
      () =>
        lab().replaced(isVariable("db"), {
          ...variable("db", other()),
          data: variable("db", lab().value("keys", "db")).data,
        }),
      "digests",
      /^the variable's value in the log is not what was measured$/,
    ],
    [
      "another authority",
      () =>
        lab().replaced(({ type }) => type === EVENT_TYPES.EV_EFI_VARIABLE_AUTHORITY, authority(firstEntry(other()))),
      "authority",
      /^other key: CN=.* in db authorized a program, expected the entry of db: CN=/,
    ],
    [
      "one authority more",
      () => lab().atEnd(authority(firstEntry(other()))),
      "authority",
      /^other key: CN=.* in db authorized a program$/,
    ],
    [
      "the authority of a shim",
      () => lab().atEnd(authority(Buffer.concat([owner(), Buffer.from("x")]), "MokList")),
      "authority",
      /^other key: an entry of 1 bytes in MokList authorized/,
    ],
    [
      "a debugger",
      () => lab().replaced(isVariable("SecureBoot"), action(7, "UEFI Debug Mode")),
      "firmware",
      /^the firmware recorded “UEFI Debug Mode”$/,
    ],
    [
      "a separator that tells an error",
      () =>
        lab().replaced(
          ({ pcr, type }) => pcr === 7 && type === EVENT_TYPES.EV_SEPARATOR,
          event(7, "EV_SEPARATOR", Buffer.alloc(4, 255)),
        ),
      "firmware",
      /^the firmware recorded an error instead of its separator$/,
    ],
    [
      "a separator too many",
      () => lab().atEnd(event(4, "EV_SEPARATOR", Buffer.alloc(4))),
      "firmware",
      /separator is in the wrong place$/,
    ],
    [
      "another action",
      () => lab().atEnd(action(4, "Entering ROM Based Setup")),
      "firmware",
      /^the firmware recorded “Entering ROM Based Setup”$/,
    ],
    [
      "a section",
      () =>
        lab().replaced(
          ({ pcr }, index) => pcr === 11 && index > 30,
          event(11, "EV_IPL", utf16(".cmdline\0"), Buffer.from("x")),
        ),
      "section",
      /^other section: \.\w+ of the UKI is not what was measured; the log calls it “\.cmdline”$/,
    ],
    [
      "an additional section",
      () => lab().atEnd(event(11, "EV_IPL", utf16(".dtb\0"))),
      "section",
      /^the UKI has an additional section; the log calls it “\.dtb”$/,
    ],
    [
      "a profile",
      () => lab().atEnd(tagged(12, 0x13aed6db, utf16("2\0"), utf16("2\0"))),
      "profile",
      /^other profile: “2” was chosen$/,
    ],
    ["a profile that the boot loader chose", () => lab().atEnd(text("@3")), "profile", /^other profile: 3 was chosen$/],
    [
      "a device tree",
      () => lab().atEnd(tagged(12, 0x6c46f751, utf16("a.dtb\0"), Buffer.of(1))),
      "companion",
      /^something from an addon was added; the log calls it “a\.dtb”$/,
    ],
    [
      "credentials",
      () => lab().atEnd(event(12, "EV_IPL", utf16("Credentials initrd\0"), Buffer.of(1))),
      "companion",
      /^something came with the UKI from outside; the log calls it “Credentials initrd”$/,
    ],
    [
      "a system extension",
      () => lab().atEnd(event(13, "EV_IPL", utf16("System extension initrd\0"), Buffer.of(1))),
      "companion",
      /^a system extension came with the UKI from outside$/,
    ],
    [
      "a PCR that nothing extends",
      () => lab().atEnd(event(8, "EV_IPL", utf16("grub\0"))),
      "unknown",
      /^nothing here accounts for an event of type EV_IPL in PCR 8$/,
    ],
    [
      "an unknown type",
      () => lab().atEnd({ ...event(4, "EV_IPL", Buffer.of()), type: 0xdeadbeef }),
      "unknown",
      /of type 0xdeadbeef in PCR 4$/,
    ],
    [
      "a program that passes for an attempt to boot",
      () =>
        lab().replaced(isProgram("BOOTX64"), {
          ...program("\\e.efi", lab().read("kernel")),
          type: EVENT_TYPES.EV_OMIT_BOOT_DEVICE_EVENTS,
        }),
      "unknown",
      /of type EV_OMIT_BOOT_DEVICE_EVENTS in PCR 4$/,
    ],
    [
      "an event without a digest",
      () =>
        lab().replaced(isProgram("BOOTX64"), {
          ...program("\\e.efi", lab().read("loader.efi")),
          digests: { sha1: Buffer.alloc(20) },
        }),
      "digests",
      /^it has no sha256 digest$/,
    ],
    [
      "digests of two things",
      () => {
        const right = program("\\e.efi", lab().read("loader.efi"));
        return lab().replaced(isProgram("BOOTX64"), {
          ...right,
          digests: { ...right.digests, sha384: Buffer.alloc(48) },
        });
      },
      "digests",
      /^its sha1 digest is that of EFI\/BOOT\/BOOTX64\.EFI, its sha384 digest is not/,
    ],
    ["an end too early", () => lab().events().slice(0, -2), "cut", /^the log ends before the kernel took over/],
    [
      "an end before the UKI",
      () =>
        lab()
          .events()
          .slice(0, lab().events().findIndex(isProgram("Linux"))),
      "cut",
      /^the log ends before EFI\/Linux\/.* was measured$/,
    ],
    [
      "an end that somebody claims",
      () =>
        lab().replaced(
          ({ data }) => Buffer.from(data).toString() === TAKEOVER,
          event(5, "EV_EFI_ACTION", Buffer.from(TAKEOVER), Buffer.of(1)),
        ),
      "cut",
      /^the log ends before the kernel took over/,
    ],
  ];
  for (const [name, events, reason, words, given = () => ({})] of CASES) {
    it(`is named: ${name}`, () => {
      const { mismatch } = lab().check(events(), given());
      expect(mismatch).toMatchObject({ reason });
      expect(mismatch?.text).toMatch(words);
    });
  }
  it("is counted from 1, with the one that says the form of the log", () => {
    const events = lab().events();
    const at = events.findIndex(isProgram("Linux"));
    expect(lab().check(events.with(at, program("\\x.efi", lab().read("kernel")))).mismatch).toMatchObject({
      event: at + 2,
      pcr: 4,
    });
    expect(lab().check(events.slice(0, 3)).mismatch).toMatchObject({ event: null });
  });
  it("is quoted in one short line, whatever it holds", () => {
    const long = lab().check(lab().atEnd(text(`\x1b[2J\n${"x".repeat(5000)}`))).mismatch?.text ?? "";
    expect(long).toContain("“\\x1b[2J\\x0axxx");
    expect(long.length).toBeLessThan(250);
  });
  it("may be an addon of which the firmware has the key, and that is missing", () => {
    const addons = lab().chains.map((chain) => ({ ...chain, addons: [chain.uki] }));
    expect(lab().check(lab().events(), { chains: addons }).mismatch).toMatchObject({
      reason: "missing",
      text: /^addon .* was not measured$/,
    });
  });
  it("may come from the boot menu where Secure Boot is off", () => {
    const policy = readPolicy([], "store");
    const events = withoutKeys(lab().atEnd(program("", lab().read("kernel")), text("single")), Buffer.of(0));
    expect(lab().check(events, { policy }).mismatch?.text).toBe(
      "other command line from SMBIOS or the boot menu: “single”, nothing should be added",
    );
  });
  it("is not a variable without a value, by which firmware says that Secure Boot is off", () => {
    const policy = readPolicy([], "store");
    const booted = lab().atEnd(program("", lab().read("kernel")));
    expect(lab().check(withoutKeys(booted, Buffer.of()), { policy }).mismatch).toBeNull();
    expect(lab().check(withoutKeys(booted, Buffer.of(0)), { policy }).mismatch).toBeNull();
    expect(lab().check(withoutKeys(booted, Buffer.of(1)), { policy }).mismatch?.reason).toBe("secure-boot");
    const claimed = { ...variable("SecureBoot", Buffer.of(1)), data: variable("SecureBoot", Buffer.of()).data };
    const forged = withoutKeys(booted, Buffer.of()).map((one) => (isVariable("SecureBoot")(one) ? claimed : one));
    expect(lab().check(forged, { policy }).mismatch?.reason).toBe("digests");
    expect(
      lab().check(lab().replaced(isVariable("SecureBoot"), variable("SecureBoot", Buffer.of()))).mismatch?.text,
    ).toBe("Secure Boot is off, it should be on");
  });
});
