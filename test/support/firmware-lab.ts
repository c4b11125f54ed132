/**
 * OVMF with Secure Boot as the judge of many programs in one start: each is a boot option that it tries in
 * order. It says on the serial console which it did not load, and why; those that it starts return an error, so
 * it goes on to the next.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { concat } from "../../src/chunks.ts";
import { withTpm } from "../../src/io/vm/swtpm.ts";
import { type Enrolments, enroll } from "../../src/sign/enroll.ts";
import { knownGuid } from "../../src/sign/guid.ts";
import { parseVariableStore, type StoredVariable, writeVariableStore } from "../../src/sign/ovmf.ts";
import { findPeer, peerTree, runPeer } from "./peers.ts";

export const FIRMWARE_NEEDS = ["trees", "qemu-system-x86_64", "mkfs.vfat", "mcopy"] as const;

/** What firmware did with a program. */
export type Verdict = "started" | "refused";

const GLOBAL_VARIABLE = knownGuid("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const TIMEOUT_MS = 300_000;
const KEY_MS = 500;

/** An empty variable store of the firmware. */
export function ovmfStore() {
  return parseVariableStore(
    readFileSync(join(peerTree("trixie"), "usr/share/OVMF/OVMF_VARS_4M.fd")),
    "OVMF_VARS_4M.fd",
  );
}

/**
 * Starts firmware whose variables are those of a store after these enrolments, with the programs as boot options.
 * @param change of the variables, to what no tool would write
 * @returns the verdict on each program, by its name
 */
export async function judgeByFirmware(
  programs: Readonly<Record<string, Uint8Array>>,
  enrolments: Enrolments,
  change: (variables: readonly StoredVariable[]) => readonly StoredVariable[] = (variables) => variables,
): Promise<Record<string, Verdict>> {
  const names = Object.keys(programs);
  const files = Object.fromEntries(Object.values(programs).map((bytes, index) => [`${index}.efi`, bytes]));
  const variables = [...change(enroll(ovmfStore(), enrolments)), ...bootOptions(names)];
  const console = await consoleOf(files, variables, names.length);
  return Object.fromEntries(names.map((name, index) => [name, verdictOn(console, optionName(index))]));
}

/**
 * The same with a shim in front, which firmware starts for each of the programs, and which finds that beside
 * itself as its boot loader.
 * @returns what shim did with each
 */
export async function judgeByShim(
  shim: Uint8Array,
  programs: Readonly<Record<string, Uint8Array>>,
  enrolments: Enrolments,
): Promise<Record<string, Verdict>> {
  const names = Object.keys(programs);
  const files = Object.values(programs).flatMap((bytes, index) => [
    [`${index}/shimx64.efi`, shim],
    [`${index}/grubx64.efi`, bytes],
  ]);
  const variables = [...enroll(ovmfStore(), enrolments), ...bootOptions(names, (index) => `\\${index}\\shimx64.efi`)];
  const console = await consoleOf(Object.fromEntries(files), variables, names.length, true);
  return Object.fromEntries(names.map((name, index) => [name, shimVerdictOn(console, index)]));
}

/** What the console says until firmware has come to the end of its boot options. */
async function consoleOf(
  files: Readonly<Record<string, Uint8Array>>,
  variables: readonly StoredVariable[],
  count: number,
  pressKeys = false,
): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "seal-test-"));
  try {
    makeEsp(directory, files);
    writeFileSync(join(directory, "vars.fd"), writeVariableStore(ovmfStore(), variables));
    const end = `failed to load ${optionName(count)}`;
    const console = await runUntil(directory, end, { pressKeys });
    if (!console.includes(end)) throw new Error(`the firmware did not come to its end:\n${console}`);
    return console;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * PCR 4 (SHA-256) when firmware without Secure Boot has started a program, which returned, and then one that does
 * not return: whenever the machine is stopped then, firmware measures nothing more.
 */
export async function codeMeasuredByFirmware(program: Uint8Array, waiting: Uint8Array): Promise<Uint8Array> {
  const directory = mkdtempSync(join(tmpdir(), "seal-test-"));
  try {
    const store = ovmfStore();
    makeEsp(directory, { "0.efi": program, "1.efi": waiting });
    writeFileSync(
      join(directory, "vars.fd"),
      writeVariableStore(store, [...store.variables, ...bootOptions(["program", "waiting"])]),
    );
    const options = { program: findPeer("swtpm") ?? "", directory, env: process.env };
    return await withTpm(options, async ({ control, readPcrs }) => {
      const socket = ["-chardev", `socket,id=tpm,path=${control}`, "-tpmdev", "emulator,id=tpm0,chardev=tpm"];
      await runUntil(directory, `starting ${optionName(1)}`, {
        tpm: [...socket, "-device", "tpm-crb,tpmdev=tpm0"],
      });
      return (await readPcrs([4])).get(4) ?? new Uint8Array();
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Programs lie at `\0.efi`, `\1.efi`, …, or where `pathOf` says; the last option, whose file is missing, ends the run.
 */
function bootOptions(names: readonly string[], pathOf = (index: number): string => `\\${index}.efi`): StoredVariable[] {
  const plain = {
    vendor: GLOBAL_VARIABLE,
    attributes: 7,
    time: new Uint8Array(16),
    monotonicCount: 0n,
    publicKeyIndex: 0,
  };
  const options = [...names, "end"].map((description, index) => ({
    ...plain,
    name: optionName(index),
    value: loadOption(description, pathOf(index)),
  }));
  const order = Uint16Array.from(options.keys());
  return [...options, { ...plain, name: "BootOrder", value: new Uint8Array(order.buffer) }];
}

const optionName = (index: number) => `Boot${index.toString(16).toUpperCase().padStart(4, "0")}`;
const text16 = (text: string) => Buffer.from(`${text}\0`, "utf16le");

/** EFI_LOAD_OPTION (UEFI specification 3.1.3) with a path that firmware looks for on every file system. */
function loadOption(description: string, path: string): Uint8Array {
  const file = text16(path);
  const list = concat([Uint8Array.of(4, 4, file.length + 4, 0), file, Uint8Array.of(0x7f, 0xff, 4, 0)]);
  return concat([Uint8Array.of(1, 0, 0, 0, list.length, 0), text16(description), list]);
}

/** @param files by their path */
function makeEsp(directory: string, files: Readonly<Record<string, Uint8Array>>): void {
  const esp = join(directory, "esp");
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(esp, path, ".."), { recursive: true });
    writeFileSync(join(esp, path), bytes);
  }
  const image = join(directory, "esp.img");
  writeFileSync(image, "");
  truncateSync(image, 64 << 20);
  for (const [peer, args] of [
    ["mkfs.vfat", ["-F", "32", image]],
    ["mcopy", ["-s", "-i", image, ...readdirSync(esp).map((name) => join(esp, name)), "::/"]],
  ] as const) {
    const { status, stderr } = runPeer(peer, args);
    if (status !== 0) throw new Error(`${peer}: ${stderr}`);
  }
}

/**
 * Lets systemd-boot enrol these files of `loader/keys/auto` into firmware in setup mode.
 * @returns the variables of the firmware afterwards
 */
export async function enrolBySystemdBoot(
  updates: Readonly<Record<string, Uint8Array>>,
): Promise<readonly StoredVariable[]> {
  const directory = mkdtempSync(join(tmpdir(), "seal-test-"));
  try {
    const loader = readFileSync(join(peerTree("trixie"), "usr/lib/systemd/boot/efi/systemd-bootx64.efi"));
    makeEsp(directory, {
      "EFI/BOOT/BOOTX64.EFI": loader,
      "loader/loader.conf": Buffer.from("timeout 0\nsecure-boot-enroll force\n"),
      ...Object.fromEntries(Object.entries(updates).map(([name, bytes]) => [`loader/keys/auto/${name}`, bytes])),
    });
    writeFileSync(join(directory, "vars.fd"), ovmfStore().file);
    // It resets the machine when all is enrolled, which ends it; else it says what it could not write.
    await runUntil(directory, "Failed to");
    return parseVariableStore(readFileSync(join(directory, "vars.fd")), "vars.fd").variables;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface RunOptions {
  /** Arguments of QEMU. */
  readonly tpm?: readonly string[];
  /** Whether somebody presses a key now and then: shim shows until then why it refuses something. */
  readonly pressKeys?: boolean;
}

/** Runs the machine until it is off, resets, or its console says this. @returns what its console said */
async function runUntil(
  directory: string,
  end: string,
  { tpm = [], pressKeys = false }: RunOptions = {},
): Promise<string> {
  const flash = (unit: number, file: string, options = "") => [
    "-drive",
    `if=pflash,format=raw,unit=${unit},file=${file}${options}`,
  ];
  const code = join(peerTree("trixie"), "usr/share/OVMF/OVMF_CODE_4M.secboot.fd");
  const child = execa(
    findPeer("qemu-system-x86_64") ?? "",
    [
      ...[
        "-machine",
        "q35,smm=on,accel=tcg",
        "-cpu",
        "qemu64",
        "-m",
        "256",
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
      ],
      ...["-global", "driver=cfi.pflash01,property=secure,value=on"],
      ...[...flash(0, copyOf(directory, code), ",readonly=on"), ...flash(1, join(directory, "vars.fd"))],
      ...["-drive", `if=none,id=esp,format=raw,file=${join(directory, "esp.img")},snapshot=on`],
      ...["-device", "virtio-blk-pci,drive=esp", "-serial", "stdio", ...tpm],
    ],
    { cwd: directory, stdin: "pipe", timeout: TIMEOUT_MS, reject: false, buffer: { stdout: false } },
  );
  // It may be gone when the next key is pressed.
  child.stdin.on("error", () => {});
  const keys = pressKeys ? setInterval(() => child.stdin.write("\r"), KEY_MS) : undefined;
  let console = "";
  for await (const line of child) {
    console += `${line}\n`;
    if (console.includes(end)) child.kill("SIGKILL");
  }
  clearInterval(keys);
  await child;
  return console;
}

/** QEMU runs in a tree, where it sees this machine's /tmp only. */
function copyOf(directory: string, file: string): string {
  const copy = join(directory, "code.fd");
  writeFileSync(copy, readFileSync(file));
  return copy;
}

/** The serial line may lose characters, so either of the two lines about a program that was started will do. */
function verdictOn(console: string, option: string): Verdict {
  const lines = console.split("\n").filter((line) => line.includes(option));
  if (lines.some((line) => line.includes(`starting ${option}`) || line.includes(`failed to start ${option}`)))
    return "started";
  if (lines.some((line) => line.includes(`failed to load ${option}`))) return "refused";
  throw new Error(`the firmware said of ${option}: ${lines.join("; ")}`);
}

function shimVerdictOn(console: string, index: number): Verdict {
  const start = console.indexOf(`starting ${optionName(index)}`);
  if (start < 0) throw new Error(`the firmware did not start shim for ${optionName(index)}:\n${console}`);
  const next = console.indexOf(optionName(index + 1), start);
  return console.slice(start, next).includes("Verification failed") ? "refused" : "started";
}
