/**
 * A small `/boot` with its keys, and the event log of a machine that booted it, written by the words
 * of the specification.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { authentihash } from "../../src/pe/authentihash.ts";
import { parsePe, sectionData } from "../../src/pe/headers.ts";
import { EVENT_TYPES, type EventType } from "../../src/pe/pcr-events.ts";
import { parseVariableUpdate } from "../../src/sign/authvar.ts";
import { parseSignatureLists } from "../../src/sign/siglist.ts";
import { seal } from "./cli.ts";
import { type EventToLog, encodeEventLog, type LogBank } from "./event-log.ts";
import { vector } from "./vectors.ts";

export const LOG_BANKS = ["sha1", "sha256", "sha384"] as const satisfies LogBank[];
const GLOBAL = "61dfe48bca93d211aa0d00e098032b8c";
const DATABASE = "cbb219d73a3d9645a3bcdad00e67656f";

export const utf16 = (text: string): Buffer => Buffer.from(text, "utf16le");

/** An event; its digests are the hashes of what was measured. @param measured without, the data */
export function event(pcr: number, type: EventType, data: Uint8Array, measured: Uint8Array = data): EventToLog {
  const digests = Object.fromEntries(LOG_BANKS.map((bank) => [bank, createHash(bank).update(measured).digest()]));
  return { pcr, type: EVENT_TYPES[type], digests, data };
}

/** UEFI_VARIABLE_DATA. */
function variableData(name: string, value: Uint8Array): Buffer {
  const lengths = Buffer.alloc(16);
  lengths.writeBigUInt64LE(BigInt(name.length), 0);
  lengths.writeBigUInt64LE(BigInt(value.length), 8);
  const vendor = ["db", "dbx", "dbt"].includes(name) ? DATABASE : GLOBAL;
  return Buffer.concat([Buffer.from(vendor, "hex"), lengths, utf16(name), value]);
}

export function variable(name: string, value: Uint8Array): EventToLog {
  return event(7, "EV_EFI_VARIABLE_DRIVER_CONFIG", variableData(name, value));
}

/** @param entry owner and certificate */
export function authority(entry: Uint8Array, name = "db"): EventToLog {
  return event(7, "EV_EFI_VARIABLE_AUTHORITY", variableData(name, entry));
}

/** @param path with backslashes */
export function program(
  path: string,
  file: Uint8Array,
  type: EventType = "EV_EFI_BOOT_SERVICES_APPLICATION",
): EventToLog {
  const name = utf16(`${path}\0`);
  const node = Buffer.concat([Buffer.of(4, 4), Buffer.alloc(2), name]);
  node.writeUInt16LE(node.length, 2);
  const devicePath = Buffer.concat([node, Buffer.of(0x7f, 0xff, 4, 0)]);
  const head = Buffer.alloc(32);
  head.writeBigUInt64LE(BigInt(devicePath.length), 24);
  const pe = parsePe([file], path);
  const digests = Object.fromEntries(LOG_BANKS.map((bank) => [bank, authentihash(pe, bank)]));
  return { pcr: 4, type: EVENT_TYPES[type], digests, data: Buffer.concat([head, devicePath]) };
}

export const text = (value: string): EventToLog => event(12, "EV_IPL", utf16(`${value}\0`));
export const action = (pcr: number, words: string): EventToLog => event(pcr, "EV_EFI_ACTION", Buffer.from(words));
const separator = (pcr: number): EventToLog => event(pcr, "EV_SEPARATOR", Buffer.alloc(4));
export const TAKEOVER = "Exit Boot Services Invocation";

/** TCG_PCClientTaggedEvent. */
export function tagged(pcr: number, tag: number, data: Uint8Array, measured: Uint8Array): EventToLog {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(tag, 0);
  head.writeUInt32LE(data.length, 4);
  return event(pcr, "EV_EVENT_TAG", Buffer.concat([head, data]), measured);
}

export interface LogLab {
  /**
   * `boot`, the UKI `uki.efi`, the boot loader `loader.efi`, keys in `keys` and `other`, an addon
   * `a.addon.efi`, not signed.
   */
  readonly cwd: string;
  run(...args: readonly string[]): Promise<string>;
  read(name: string): Buffer;
  /** The lists that a variable is set to. */
  value(directory: string, name: "PK" | "KEK" | "db"): Uint8Array;
  /** The log of a machine with the keys in `keys` that booted `boot`. */
  events(): EventToLog[];
}

export async function makeLogLab(): Promise<LogLab> {
  const cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
  const run = async (...args: readonly string[]) => {
    const result = await seal(args, { cwd });
    expect(result.code, result.stderr).toBe(0);
    return result.stdout;
  };
  for (const name of ["kernel", "stub-plain", "initrd-1"]) writeFileSync(join(cwd, name), vector(`uki/inputs/${name}`));
  for (const directory of ["keys", "other"]) await run("keys", "generate", "--output", directory);
  const sign = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
  const sdmagic = (name: string) => {
    writeFileSync(join(cwd, "sdmagic"), `#### LoaderInfo: ${name} 257.1 ####`);
    return ["--section", ".sdmagic:@sdmagic", "--stub", "stub-plain"];
  };
  const none = ["--os-release", "", "--sbat", "sbat,1,x"];
  await run("build-uki", "--cmdline", "", ...none, ...sdmagic("systemd-boot"), ...sign, "--output", "loader.efi");
  const sources = ["--linux", "kernel", "--initrd", "initrd-1", "--cmdline", "a=b", "--os-release", "ID=x"];
  await run("build-uki", ...sources, ...sdmagic("systemd-stub"), ...sign, "--output", "uki.efi");
  await run("build-uki", "--cmdline", "extra=1", ...none, "--stub", "stub-plain", "--output", "a.addon.efi");
  await run("boot-layout", "--uki", "uki.efi", "--bootloader", "loader.efi", "--output", "boot");
  const read = (name: string) => readFileSync(join(cwd, name));
  const value = (directory: string, name: string) =>
    parseVariableUpdate(read(join(directory, `${name}.auth`)), name).value;
  return { cwd, run, read, value, events: () => machineEvents(read, value) };
}

function machineEvents(read: LogLab["read"], value: LogLab["value"]): EventToLog[] {
  const uki = read("uki.efi");
  const pe = parsePe([uki], "uki");
  const sections = [".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat"].flatMap((name) => {
    const section = pe.sections.find((one) => one.name === name);
    if (section === undefined) return [];
    const said = utf16(`${name}\0`);
    const content = Buffer.concat([...sectionData(pe, section)]);
    return [event(11, "EV_IPL", said, Buffer.from(`${name}\0`)), event(11, "EV_IPL", said, content)];
  });
  return [
    event(0, "EV_S_CRTM_VERSION", utf16("1.0\0")),
    variable("SecureBoot", Buffer.of(1)),
    ...(["PK", "KEK", "db"] as const).map((name) => variable(name, value("keys", name))),
    variable("dbx", Buffer.of()),
    separator(7),
    event(1, "EV_EFI_VARIABLE_BOOT", variableData("BootOrder", Buffer.of(1, 0))),
    action(4, "Calling EFI Application from Boot Option"),
    ...[0, 1, 2, 3, 4, 5, 6].map(separator),
    authority(firstEntry(value("keys", "db"))),
    program("\\EFI\\BOOT\\BOOTX64.EFI", read("loader.efi")),
    tagged(5, 0xf5bc582a, utf16("loader.conf\0"), Buffer.from("timeout 3\n")),
    program("\\EFI\\Linux\\1.efi", uki),
    ...sections,
    tagged(9, 0x8f3b22ec, Buffer.from("Linux initrd\0"), Buffer.from("initrd")),
    action(5, TAKEOVER),
    action(5, "Exit Boot Services Returned with Success"),
  ];
}

/** Owner and certificate. */
export function firstEntry(lists: Uint8Array): Uint8Array {
  const size = parseSignatureLists(lists, "lists")[0]?.signatures[0]?.data.length ?? 0;
  // Behind type, list size, header size and signature size.
  return lists.subarray(28, 28 + 16 + size);
}

/** The bytes of a log. */
export function logBytes(events: readonly EventToLog[], banks: readonly LogBank[] = LOG_BANKS): Uint8Array {
  return encodeEventLog(banks, events);
}
