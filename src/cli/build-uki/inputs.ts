/** Collects what goes into a UKI from the arguments of `ukify build`: files are read, defaults filled in. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { machine } from "node:os";
import { basename, join } from "node:path";
import type { UkiExtras } from "../../boot/tree-uki.ts";
import { utf8 } from "../../bytes.ts";
import type { Chunks } from "../../chunks.ts";
import { inputError, SealError } from "../../errors.ts";
import { reasonOf } from "../../io/files.ts";
import { LARGE_FILE, readInput, SMALL_FILE } from "../../io/read-input.ts";
import { type EfiArch, efiArchOfMachine } from "../../pe/arch.ts";
import { efiFirmwareSection } from "../../pe/efi-firmware.ts";
import { type PeImage, parsePe } from "../../pe/headers.ts";
import { openKernel, unpackedNote } from "../../pe/kernel.ts";
import { kernelVersion } from "../../pe/kernel-version.ts";
import { profileSections } from "../../pe/profiles.ts";
import type { SbatSource } from "../../pe/sbat.ts";
import type { UkiInputs, UkiSection } from "../../pe/uki-sections.ts";
import { machineStub } from "../../seal/stub.ts";
import { decodeText } from "../../text.ts";
import { type Context, userPath } from "../context.ts";
import type { ExtraOptions, UkiOptions } from "../options/uki.ts";
import { readHwids } from "./hwids.ts";
import { splitBlanks } from "./python-space.ts";

const HWIDS_DIRECTORY = "/usr/lib/systemd/boot/hwids";
const OS_RELEASE_FILES = ["/etc/os-release", "/usr/lib/os-release"] as const;

/**
 * Reads everything that the arguments name.
 * @param how see {@link ExtraInputs}
 * @throws SealError `input` for a file that can't be read or used, `usage` for arguments that make no sense
 */
export async function collectUkifyInputs(
  context: Context,
  options: UkiOptions,
  how: Pick<ExtraInputs, "pcrPublicKey" | "readInitrd">,
): Promise<UkiInputs> {
  const kernel = options.linux === undefined ? null : await readKernel(context, options.linux);
  const stub = await readStub(context, options, kernel);
  const osReleaseBytes = await osRelease(context, options);
  const extras = await collectExtras(context, options, { ...how, withOsRelease: osReleaseBytes !== null });
  return {
    stub,
    kernel,
    osRelease: osReleaseBytes,
    cmdline: await cmdline(context, options.cmdline),
    uname: uname(context, options.uname, kernel),
    ...extras,
    hwids:
      options.hwids === undefined
        ? await defaultHwids(context, options.efiArch ?? efiArchOfMachine(stub.machine))
        : extras.hwids,
  };
}

/** What decides about inputs besides the arguments. */
export interface ExtraInputs {
  /** Whether the UKI has an os-release. */
  readonly withOsRelease: boolean;
  /** Content of `.pcrpkey` without `--pcrpkey`; null: no such section. */
  readonly pcrPublicKey: Uint8Array | null;
  /** How initrds are read; whole without. */
  readonly readInitrd?: (path: string) => Promise<Uint8Array | Chunks>;
}

/** Inputs that come from arguments only, wherever kernel and command line come from. */
export async function collectExtras(
  context: Context,
  options: ExtraOptions,
  { withOsRelease, pcrPublicKey, readInitrd = readInput }: ExtraInputs,
): Promise<UkiExtras> {
  const file = (path: string | undefined) => (path === undefined ? null : readInput(userPath(context, path)));
  return {
    devicetree: await file(options.devicetree),
    automaticDevicetrees: await inTurn(options.devicetreeAuto, (path) => readInput(userPath(context, path))),
    hwids: options.hwids === undefined || options.hwids === "" ? null : await readHwids(context, options.hwids),
    splash: await file(options.splash),
    pcrPublicKey: options.pcrpkey === undefined ? pcrPublicKey : await file(options.pcrpkey),
    initrds: await inTurn(options.initrd, (path) => readInitrd(userPath(context, path))),
    efiFirmware: await inTurn(options.efifw, (path) => efiFirmware(context, path)),
    microcode: await file(options.microcode),
    custom: await inTurn(options.section, (spec) => customSection(context, spec)),
    sbat: await inTurn(options.sbat, (value) => sbat(context, value)),
    profile: await profile(context, options.profile),
    joinedProfiles: await inTurn(options.joinProfile, async (path) =>
      profileSections(parsePe([await readInput(userPath(context, path))], path), withOsRelease),
    ),
  };
}

/** What systemd knows about machines of an architecture, if it is installed here. */
async function defaultHwids(context: Context, arch: EfiArch | null): Promise<Uint8Array | null> {
  const directory = `${HWIDS_DIRECTORY}/${arch}`;
  if (!existsSync(directory)) return null;
  context.ui.note(`hardware IDs from ${directory}; --hwids '' leaves them out`);
  return readHwids(context, directory);
}

async function readKernel(context: Context, path: string): Promise<PeImage> {
  // First it is read: what opens it is loaded only then.
  const bytes = await readInput(userPath(context, path));
  const { pe, unpacked } = openKernel(bytes, path);
  if (unpacked) context.ui.note(unpackedNote(path));
  return pe;
}

/** The stub that was given, or systemd's for the architecture. */
async function readStub(context: Context, options: UkiOptions, kernel: PeImage | null): Promise<PeImage> {
  if (options.stub !== undefined) return parsePe([await readInput(userPath(context, options.stub))], options.stub);
  const arch = options.efiArch ?? (kernel === null ? machineArch() : efiArchOfMachine(kernel.machine));
  if (arch === null)
    throw new SealError("usage", "--stub: required (or --efi-arch), since UEFI has no name for the architecture");
  if (kernel !== null) return machineStub(`linux${arch}`);
  try {
    return await machineStub(`addon${arch}`);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    const hint = "Without --linux, --rootfs and --from this makes an addon";
    throw new SealError(error.code, `${error.message}. ${hint}`, { cause: error });
  }
}

/** UEFI's name for the architecture of this machine, by `uname -m`. */
function machineArch(): EfiArch | null {
  const name = machine();
  const arches: readonly (readonly [RegExp, EfiArch])[] = [
    [/^x86_64$/, "x64"],
    [/^i[3-6]86$/, "ia32"],
    [/^aarch64$/, "aa64"],
    [/^armv[4-8].*l$/, "arm"],
    [/^riscv32$/, "riscv32"],
    [/^riscv64$/, "riscv64"],
    [/^loongarch32$/, "loongarch32"],
    [/^loongarch64$/, "loongarch64"],
  ];
  return arches.find(([pattern]) => pattern.test(name))?.[1] ?? null;
}

async function osRelease(context: Context, options: UkiOptions): Promise<Uint8Array | null> {
  const { osRelease: given } = options;
  if (given !== undefined) return textOrFile(context, given);
  if (options.linux === undefined) return null;
  const [first, second] = OS_RELEASE_FILES;
  try {
    return await readInput(first, SMALL_FILE);
  } catch {
    return readInput(second, SMALL_FILE);
  }
}

/** A text is folded: what is between blanks, joined by one each. A file is taken as it is. */
async function cmdline(context: Context, given: string | undefined): Promise<Uint8Array | null> {
  if (given === undefined) return null;
  const isFile = given.startsWith("@");
  const bytes = await textOrFile(context, isFile ? given : splitBlanks(given).join(" "));
  if (bytes === null) return null;
  const subject = isFile ? given.slice(1) : "--cmdline";
  if (bytes.includes(0))
    throw inputError(subject, "the kernel command line contains a NUL byte: everything after it would be lost");
  const text = Buffer.from(bytes).toString("latin1");
  if (/[\r\n]/.test(text.replace(/[\r\n]+$/, ""))) {
    context.ui.warn(`${subject} has several lines; systemd-stub joins them with blanks. Give a single line`);
  }
  return bytes;
}

function uname(context: Context, given: string | undefined, kernel: PeImage | null): string | null {
  if (given !== undefined) return given === "" ? null : given;
  const [bytes] = kernel?.file ?? [];
  if (kernel === null || bytes === undefined) return null;
  const version = kernelVersion(bytes, kernel.subject);
  if (version === null)
    context.ui.note(`${kernel.subject}: no kernel version found, so no .uname section; give --uname`);
  return version;
}

/** The directory's name is the id of the one firmware image in it. */
async function efiFirmware(context: Context, path: string): Promise<Uint8Array> {
  const directory = userPath(context, path);
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    throw inputError(path, `can't be read: ${reasonOf(error)}`, error);
  }
  const [name, ...others] = names;
  if (name === undefined || others.length > 0) {
    throw inputError(path, `has ${names.length} files; a firmware directory must contain exactly one`);
  }
  const payload = await readInput(join(directory, name));
  if (payload.length === 0) throw inputError(join(path, name), "an empty firmware image");
  return efiFirmwareSection(basename(directory), payload);
}

async function customSection(context: Context, spec: string): Promise<UkiSection> {
  const colon = spec.indexOf(":");
  const content = await textOrFile(context, spec.slice(colon + 1), LARGE_FILE);
  return { name: spec.slice(0, colon), content: content === null ? [] : [content] };
}

async function sbat(context: Context, value: string): Promise<SbatSource> {
  if (!value.startsWith("@")) return { subject: `--sbat "${value.split("\n", 1)[0] ?? ""}"`, text: value };
  const subject = value.slice(1);
  return { subject, text: decodeText(await readInput(userPath(context, subject), SMALL_FILE), subject) };
}

async function profile(context: Context, given: string | undefined): Promise<string | null> {
  const bytes = given === undefined ? null : await textOrFile(context, given);
  if (bytes === null || bytes.length === 0) return null;
  return decodeText(bytes, given?.slice(1) ?? "").replace(/\r\n?/g, "\n");
}

/**
 * `TEXT` or `@FILE`; null for an empty text.
 * @param limit bytes that the file may have
 */
export async function textOrFile(
  context: Context,
  value: string,
  limit: number = SMALL_FILE,
): Promise<Uint8Array | null> {
  if (value.startsWith("@")) return readInput(userPath(context, value.slice(1)), limit);
  return value === "" ? null : utf8(value);
}

/** One after the other, so that messages come in the order of the arguments. */
async function inTurn<In, Out>(values: readonly In[], how: (value: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  for (const value of values) results.push(await how(value));
  return results;
}
