/** measure --reference, computed a second time here with nothing but hashes; the machine that boots is in test/e2e. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromHex } from "../../../src/bytes.ts";
import { type ReferenceReport, referenceReportSchema } from "../../../src/cli/measure/reference.ts";
import { authentihash } from "../../../src/pe/authentihash.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import type { EventType } from "../../../src/pe/pcr-events.ts";
import { parseVariableUpdate } from "../../../src/sign/authvar.ts";
import { parseVariableStore } from "../../../src/sign/ovmf.ts";
import { parseSignatureLists } from "../../../src/sign/siglist.ts";
import { seal } from "../../support/cli.ts";
import { writeEfivars } from "../../support/efivars.ts";
import { logOf } from "../../support/event-log.ts";
import { expectRefusal } from "../../support/inputs.ts";
import { emptyStore } from "../../support/variable-store.ts";
import { vector } from "../../support/vectors.ts";

type Bank = "sha1" | "sha256" | "sha384" | "sha512";
const hash = (bank: Bank, bytes: Uint8Array | string) => createHash(bank).update(bytes).digest();
const extend = (bank: Bank, digests: readonly Uint8Array[]) =>
  digests
    .reduce<Buffer>((pcr, digest) => hash(bank, Buffer.concat([pcr, digest])), Buffer.alloc(hash(bank, "").length))
    .toString("hex");
const utf16 = (text: string) => Buffer.from(text, "utf16le");

const GLOBAL = "61dfe48bca93d211aa0d00e098032b8c";
const DATABASE = "cbb219d73a3d9645a3bcdad00e67656f";
/** UEFI_VARIABLE_DATA. */
function variable(vendor: string, name: string, value: Uint8Array): Buffer {
  const lengths = Buffer.alloc(16);
  lengths.writeBigUInt64LE(BigInt(name.length), 0);
  lengths.writeBigUInt64LE(BigInt(value.length), 8);
  return Buffer.concat([Buffer.from(vendor, "hex"), lengths, utf16(name), value]);
}

let cwd = "";
const run = async (...args: string[]) => {
  const result = await seal(args, { cwd });
  expect(result.code, result.stderr).toBe(0);
  return result;
};
const reference = async (...args: string[]): Promise<ReferenceReport> =>
  referenceReportSchema.parse(JSON.parse((await run("measure", ...args, "--reference")).stdout));
const pcr = (report: ReferenceReport, number: number, boot = 0) => {
  const found = report.boots[boot]?.pcrs.find((one) => one.pcr === number);
  if (found === undefined) throw new Error(`no PCR ${number}`);
  return found;
};
const image = (path: string, bank: Bank) => authentihash(parsePe([readFileSync(join(cwd, path))], path), bank);
const updateValue = (name: string) => parseVariableUpdate(readFileSync(join(cwd, "keys", name)), name).value;

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
  for (const name of ["kernel", "stub-plain", "initrd-1"]) writeFileSync(join(cwd, name), vector(`uki/inputs/${name}`));
  for (const directory of ["keys", "other"]) await run("keys", "generate", "--output", directory);
  const sources = ["--linux", "kernel", "--initrd", "initrd-1", "--cmdline", "a=b", "--os-release", "ID=x", "--stub"];
  const sign = (directory: string) => ["--key", `${directory}/db.key`, "--cert", `${directory}/db.crt`];
  const stub = (text: string) => {
    writeFileSync(join(cwd, "sdmagic"), `#### LoaderInfo: ${text} ####`);
    return ["--section", ".sdmagic:@sdmagic"];
  };
  await run("build-uki", ...sources, "stub-plain", "--output", "plain.efi");
  await run(
    "build-uki",
    ...sources,
    "stub-plain",
    ...stub("systemd-stub 257.1"),
    ...sign("keys"),
    "--output",
    "uki.efi",
  );
  await run("build-uki", ...sources, "stub-plain", ...stub("systemd-stub 258~rc1"), "--output", "new.efi");
  await run("build-uki", ...sources, "stub-plain", ...stub("somebody's"), "--output", "unknown.efi");
  await run("sign", "stub-plain", ...sign("other"), "--output", "loader.efi");
  const loader = ["--cmdline", "", "--os-release", "", ...stub("systemd-boot 257.1"), "--sbat", "sbat,1,x"];
  await run("build-uki", "--stub", "stub-plain", ...loader, "--output", "sd-boot.efi");
  await run("boot-layout", "--uki", "uki.efi", "--bootloader", "loader.efi", "--output", "boot");
}, 60_000);

afterAll(() => rmSync(cwd, { recursive: true, force: true }));

describe("measure --reference", () => {
  it("computes PCR 4 and 7 of a boot loader and a UKI by different keys", async () => {
    const banks = ["sha1", "sha256", "sha384", "sha512"] as const;
    const keys = ["--keys", "keys", "--db", "other/db.auth"];
    const report = await reference("boot", ...keys, "--banks", banks.join(","));
    expect(report).toMatchObject({
      secureBoot: true,
      boots: [{ bootLoader: "EFI/BOOT/BOOTX64.EFI", profile: 0, profileId: null, devicetree: null, addons: [] }],
    });
    const uki = `boot/${report.boots[0]?.uki}`;
    const [ours, theirs] = ["keys", "other"].map((name) =>
      parseVariableUpdate(readFileSync(join(cwd, name, "db.auth")), name),
    );
    const db = Buffer.concat([ours?.value ?? Buffer.of(), theirs?.value ?? Buffer.of()]);
    // Behind type, list size, header size and signature size stand owner and certificate.
    const entry = (value: Uint8Array | undefined) => variable(DATABASE, "db", (value ?? Buffer.of()).subarray(28));
    for (const bank of banks) {
      const separator = hash(bank, Buffer.alloc(4));
      expect(pcr(report, 4).values[bank]).toBe(
        extend(bank, [
          hash(bank, "Calling EFI Application from Boot Option"),
          separator,
          image("boot/EFI/BOOT/BOOTX64.EFI", bank),
          image(uki, bank),
        ]),
      );
      const policy = [
        variable(GLOBAL, "SecureBoot", Buffer.of(1)),
        variable(GLOBAL, "PK", updateValue("PK.auth")),
        variable(GLOBAL, "KEK", updateValue("KEK.auth")),
        variable(DATABASE, "db", db),
        variable(DATABASE, "dbx", Buffer.of()),
      ].map((bytes) => hash(bank, bytes));
      const used = [entry(theirs?.value), entry(ours?.value)].map((bytes) => hash(bank, bytes));
      expect(pcr(report, 7).values[bank]).toBe(extend(bank, [...policy, separator, ...used]));
    }
  });

  it("computes PCR 11 as without --reference, and when the stub is done", async () => {
    const report = await reference("uki.efi", "--no-secure-boot", "--phases", "enter-initrd");
    const { stdout } = await run("measure", "uki.efi", "--banks", "sha256", "--phases", "enter-initrd");
    const { events, values, phases } = pcr(report, 11);
    expect(stdout).toBe(`11:sha256=${phases?.[0]?.values["sha256"]}\n`);
    const digests = events.map((event) => fromHex(event.digests["sha256"] ?? "") ?? Buffer.of());
    expect(values).toEqual({ sha256: extend("sha256", digests) });
    expect(phases).toEqual([
      { phase: "enter-initrd", values: { sha256: extend("sha256", [...digests, hash("sha256", "enter-initrd")]) } },
    ]);
  });

  it("says where firmware for devices in the UKI would make a difference", async () => {
    writeFileSync(join(cwd, "efifw.efi"), vector("uki/outputs/efifw.262.efi.gz"));
    const assumes = async (file: string) => pcr(await reference(file, "--no-secure-boot"), 11).assumes.join("\n");
    expect(await assumes("efifw.efi")).toContain("(.efifw)");
    expect(await assumes("uki.efi")).not.toContain(".efifw");
  });

  it("names an authority once, however many images start by it", async () => {
    await run("sign", "stub-plain", "--key", "keys/db.key", "--cert", "keys/db.crt", "--output", "same.efi");
    const report = await reference("uki.efi", "--bootloader", "same.efi", "--keys", "keys");
    expect(pcr(report, 7).events.map(({ type }) => type)).toEqual([
      ...Array<string>(5).fill("EV_EFI_VARIABLE_DRIVER_CONFIG"),
      "EV_SEPARATOR",
      "EV_EFI_VARIABLE_AUTHORITY",
    ]);
  });

  it("takes the hash of an image for the authority where no certificate is one, and the first entry that fits", async () => {
    const byHash = await reference("plain.efi", "--keys", "keys", "--db", "plain.efi");
    const authority = variable(DATABASE, "db", Buffer.concat([Buffer.alloc(16), image("plain.efi", "sha256")]));
    expect(pcr(byHash, 7).events.at(-1)).toMatchObject({
      type: "EV_EFI_VARIABLE_AUTHORITY",
      digests: { sha256: hash("sha256", authority).toString("hex") },
    });
    const byCertificate = await reference("uki.efi", "--keys", "keys", "--db", "uki.efi");
    expect(pcr(byCertificate, 7).events.at(-1)?.description).toBe("entry of db: CN=Secure Boot db");
  });

  it("finds the authority of the first signature that is trusted", async () => {
    await run("sign", "uki.efi", "--append", "--key", "other/db.key", "--cert", "other/db.crt", "--output", "two.efi");
    const owner = (report: ReferenceReport) => pcr(report, 7).events.at(-1)?.digests["sha256"];
    const entryOf = (directory: string) => {
      const lists = parseSignatureLists(
        parseVariableUpdate(readFileSync(join(cwd, directory, "db.auth")), directory).value,
        directory,
      );
      const data = lists[0]?.signatures[0]?.data ?? Buffer.of();
      return hash("sha256", variable(DATABASE, "db", Buffer.concat([Buffer.alloc(16), data]))).toString("hex");
    };
    const keys = ["--pk", "keys/PK.crt", "--kek", "keys/KEK.crt"];
    const both = ["--db", "other/db.crt", "--db", "keys/db.crt"];
    expect(owner(await reference("two.efi", ...keys, ...both))).toBe(entryOf("keys"));
    expect(owner(await reference("two.efi", ...keys, "--db", "other/db.crt"))).toBe(entryOf("other"));
  });

  it("measures the kernel in a UKI only where its stub and firmware do", async () => {
    const kernels = async (...args: string[]) =>
      pcr(await reference(...args), 4).events.filter(({ description }) => description.endsWith(".linux"));
    expect(await kernels("uki.efi", "--no-secure-boot")).toEqual([
      {
        type: "EV_EFI_BOOT_SERVICES_APPLICATION",
        description: "uki.efi: .linux",
        digests: { sha256: Buffer.from(image("kernel", "sha256")).toString("hex") },
      },
    ]);
    expect(await kernels("uki.efi", "--keys", "keys")).toEqual([]);
    expect(await kernels("new.efi", "--no-secure-boot")).toEqual([]);
    const unknown = pcr(await reference("unknown.efi", "--no-secure-boot"), 4).assumes;
    expect(unknown.join()).toContain("whose version is unknown");
  });

  it("reads the keys from a variable store, with others on top", async () => {
    writeFileSync(join(cwd, "empty.fd"), emptyStore());
    await run("keys", "enroll", "--vars", "empty.fd", "--keys", "keys", "--output", "vars.fd");
    const [fromKeys, fromStore] = [
      await reference("uki.efi", "--keys", "keys"),
      await reference("uki.efi", "--vars", "vars.fd"),
    ];
    expect(fromStore).toEqual(fromKeys);
    const stored = parseVariableStore(readFileSync(join(cwd, "vars.fd")), "vars.fd").variables;
    const values = Object.fromEntries(stored.map(({ name, value }) => [name, value]));
    writeEfivars(join(cwd, "efivars"), { ...values, SecureBoot: Uint8Array.of(1) });
    expect(await reference("uki.efi", "--vars", "efivars")).toEqual(fromKeys);
    writeEfivars(join(cwd, "efivars"), { SecureBoot: Uint8Array.of(0) });
    expect((await reference("uki.efi", "--vars", "efivars")).secureBoot).toBe(false);
    const more = await reference("uki.efi", "--vars", "vars.fd", "--dbx", "other/db.crt");
    expect(pcr(more, 7).events[4]?.description).toMatch(/^dbx, \d+ bytes$/);
    expect((await reference("plain.efi", "--vars", "empty.fd")).secureBoot).toBe(false);
  });

  it("is about addons too: those for all UKIs first", async () => {
    cpSync(join(cwd, "boot"), join(cwd, "extra"), { recursive: true });
    const [uki = ""] = (await reference("extra", "--no-secure-boot")).boots.map((boot) => boot.uki);
    for (const path of [
      "loader/addons/b.addon.efi",
      "loader/addons/.hidden.addon.efi",
      `${uki}.extra.d/a.addon.efi`,
      `${uki}.extra.d/x.cred`,
    ]) {
      mkdirSync(join(cwd, "extra", path, ".."), { recursive: true });
      cpSync(join(cwd, "same.efi"), join(cwd, "extra", path));
    }
    const report = await reference("extra", "--no-secure-boot");
    expect(report.boots[0]?.addons).toEqual(["loader/addons/b.addon.efi", `${uki}.extra.d/a.addon.efi`]);
    expect(pcr(report, 4).events).toHaveLength(7);
  });

  it("passes over what has the name of a program and is not a file, as the boot loader and the stub do", async () => {
    cpSync(join(cwd, "boot"), join(cwd, "odd"), { recursive: true });
    const before = await reference("odd", "--no-secure-boot");
    const uki = before.boots[0]?.uki ?? "";
    for (const path of ["EFI/Linux/a.efi", "EFI/BOOT/BOOTAA64.EFI", `${uki}.extra.d/a.addon.efi`]) {
      mkdirSync(join(cwd, "odd", path), { recursive: true });
    }
    expect(spawnSync("mkfifo", [join(cwd, "odd", "EFI/Linux/b.efi")]).status).toBe(0);
    expect(await reference("odd", "--no-secure-boot")).toEqual(before);
  });

  it("computes PCR 12 of what addons and the machine add, and says why where it can't", async () => {
    const addon = async (text: string, name: string, ...sign: string[]) => {
      const inputs = ["--cmdline", text, "--os-release", "", "--stub", "stub-plain"];
      await run("build-uki", ...inputs, ...sign, "--output", `full/${name}`);
    };
    cpSync(join(cwd, "boot"), join(cwd, "full"), { recursive: true });
    await run(
      "sign",
      "sd-boot.efi",
      "--key",
      "keys/db.key",
      "--cert",
      "keys/db.crt",
      "--output",
      "full/EFI/BOOT/BOOTX64.EFI",
    );
    const [uki = ""] = (await reference("full", "--no-secure-boot")).boots.map((boot) => boot.uki);
    await addon("all=1", "loader/addons/b.addon.efi", "--key", "keys/db.key", "--cert", "keys/db.crt");
    await addon("own=1", `${uki}.extra.d/a.addon.efi`);
    const text = (value: string) => hash("sha256", utf16(`${value}\0`));
    const args = ["--kernel-arguments", "quiet"];
    const all = pcr(await reference("full", "--no-secure-boot", ...args), 12);
    expect(all.values).toEqual({ sha256: extend("sha256", [text("all=1 own=1"), text("quiet")]) });
    // Nobody signed it: the firmware refuses it, and the stub goes on.
    const { stdout, stderr } = await run("measure", "full", "--reference", "--keys", "keys", ...args);
    const trusted = referenceReportSchema.parse(JSON.parse(stdout));
    expect(stderr).toMatch(/^warning: .*a\.addon\.efi: firmware with these keys does not start it: it is not signed/);
    expect(trusted.boots[0]).toMatchObject({ addons: ["loader/addons/b.addon.efi"], notComputed: [] });
    expect(pcr(trusted, 4).events).toHaveLength(5);
    expect(pcr(trusted, 12).values).toEqual({ sha256: extend("sha256", [text("all=1"), text("quiet")]) });
    for (const path of [`${uki}.extra.d/x.CRED`, "loader/credentials/x.cred", "loader/extensions/x.confext.raw"]) {
      mkdirSync(join(cwd, "full", path, ".."), { recursive: true });
      writeFileSync(join(cwd, "full", path), "x");
      const told = await run("measure", "full", "--reference", "--no-secure-boot");
      const [boot] = referenceReportSchema.parse(JSON.parse(told.stdout)).boots;
      expect(boot?.pcrs.map((one) => one.pcr)).toEqual([4, 7, 11]);
      expect(boot?.notComputed).toEqual([{ pcr: 12, reason: `${path} is measured as part of an archive` }]);
      expect(told.stderr).toBe(`PCR 12 is not computed: ${uki}: ${path} is measured as part of an archive\n`);
      rmSync(join(cwd, "full", path));
    }
  });

  it("takes the addons beside a UKI that firmware starts by itself, and no UKI that the menu would not show", async () => {
    cpSync(join(cwd, "boot"), join(cwd, "direct"), { recursive: true });
    const ukis = join(cwd, "direct/EFI/Linux");
    const [uki = ""] = readdirSync(ukis);
    for (const name of [".hidden.efi", "auto-x.efi", "AUTO-y.EFI"]) cpSync(join(ukis, uki), join(ukis, name));
    expect((await reference("direct", "--no-secure-boot")).boots).toHaveLength(1);
    const program = "EFI/BOOT/BOOTX64.EFI";
    cpSync(join(cwd, "uki.efi"), join(cwd, "direct", program));
    const addon = `${program}.extra.d/a.addon.efi`;
    const inputs = ["--cmdline", "own=1", "--os-release", "", "--stub", "stub-plain"];
    await run("build-uki", ...inputs, "--output", `direct/${addon}`);
    const report = await reference("direct", "--no-secure-boot");
    expect(report.boots[0]).toMatchObject({ uki: program, bootLoader: null, addons: [addon] });
    const text = hash("sha256", utf16("own=1\0"));
    expect(pcr(report, 12).values).toEqual({ sha256: extend("sha256", [text]) });
  });

  it("leaves out UKIs that firmware would not start, and fails when it starts none", async () => {
    cpSync(join(cwd, "boot"), join(cwd, "two"), { recursive: true });
    cpSync(join(cwd, "plain.efi"), join(cwd, "two/EFI/Linux/a.efi"));
    const keys = ["--keys", "keys", "--db", "other/db.auth"];
    const { stdout, stderr } = await run("measure", "two", "--reference", ...keys);
    expect(referenceReportSchema.parse(JSON.parse(stdout)).boots).toHaveLength(1);
    expect(stderr).toMatch(/EFI\/Linux\/a\.efi: firmware with these keys does not start it: it is not signed/);
    const refused = await seal(["measure", "boot", "--reference", "--keys", "keys"], { cwd });
    expectRefusal(refused, 1, /^seal: EFI\/BOOT\/BOOTX64\.EFI: firmware with these keys does not start it: /);
    const revoked = await seal(["measure", "uki.efi", "--reference", "--keys", "keys", "--dbx", "uki.efi"], { cwd });
    expectRefusal(revoked, 1, /revoked/);
  });

  it.each([
    [["uki.efi"], /^seal: --reference: give the keys/],
    [["uki.efi", "--no-secure-boot", "--keys", "keys"], /--no-secure-boot: cannot be combined with keys/],
    [["boot", "--no-secure-boot", "--bootloader", "loader.efi"], /--bootloader: requires a UKI/],
  ])("refuses %j", async (args, message) => {
    expectRefusal(await seal(["measure", ...args, "--reference"], { cwd }), 2, message);
  });
  it("refuses what can't boot", async () => {
    const bad = (...args: string[]) => seal(["measure", ...args, "--reference"], { cwd });
    expectRefusal(await bad("kernel", "--no-secure-boot"), 3, /no \.linux section/);
    expectRefusal(await bad("keys", "--no-secure-boot"), 3, /^seal: keys: has no UKI in EFI\/Linux/);
    expectRefusal(await bad("uki.efi", "--db", "keys/db.crt"), 3, /the keys given: has no platform key/);
  });

  it.each([
    ["--vars", "x"],
    ["--keys", "keys"],
    ["--dbx", "x"],
    ["--bootloader", "x"],
    ["--kernel-arguments", ""],
    ["--owner", "11111111-2222-3333-4444-123456789abc"],
    ["--no-secure-boot"],
    ["--append"],
  ])("refuses %s without --reference and --event-log, where it would mean nothing", async (...args) => {
    const refused = await seal(["measure", "uki.efi", ...args], { cwd });
    expectRefusal(refused, 2, new RegExp(`^seal: ${args[0]}: requires --reference or --event-log\n$`));
  });

  it("passes over keys in seal.toml where it does not need them", async () => {
    writeFileSync(join(cwd, "shared.toml"), 'keys = "keys"\ndbx = ["nowhere"]\n');
    const config = ["--config", "shared.toml", "--banks", "sha256"];
    expect((await run("measure", "uki.efi", ...config)).stdout).toMatch(/^11:sha256=/);
    const refused = await seal(["measure", "uki.efi", "--reference", ...config], { cwd });
    expectRefusal(refused, 3, /nowhere/);
  });
});

describe("an event log beside the reference", () => {
  const events = (report: ReferenceReport) =>
    new Map(
      [4, 7, 11].map((number) => [
        number,
        pcr(report, number).events.map(({ type, digests, description }) => ({
          type: type as EventType,
          description,
          digests: { sha256: fromHex(digests["sha256"] ?? "") ?? Buffer.of() },
        })),
      ]),
    );
  const compare = (log: Uint8Array) => {
    writeFileSync(join(cwd, "log"), log);
    return seal(["measure", "uki.efi", "--reference", "--keys", "keys", "--event-log", "log"], { cwd });
  };

  it("is that of the machine, or not", async () => {
    const computed = events(await reference("uki.efi", "--keys", "keys"));
    const same = await compare(logOf(["sha256"], computed));
    expect(same).toMatchObject({ code: 0, stderr: "" });
    expect(pcr(referenceReportSchema.parse(JSON.parse(same.stdout)), 7).difference).toBeNull();
    computed.set(7, (computed.get(7) ?? []).slice(0, -1));
    const other = await compare(logOf(["sha256"], computed));
    expect(other.code).toBe(1);
    expect(other.stderr).toMatch(/^PCR 7: event 7 should be EV_EFI_VARIABLE_AUTHORITY .*, the log ends before\n$/);
    const report = referenceReportSchema.parse(JSON.parse(other.stdout));
    expect([4, 7, 11].map((number) => pcr(report, number).difference === null)).toEqual([true, false, true]);
    expectRefusal(await compare(Buffer.from("text")), 3, /^seal: log: truncated/);
  });
});
