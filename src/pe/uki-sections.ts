/**
 * Which sections a Unified Kernel Image has, in which order and with which content
 * (https://uapi-group.org/specifications/specs/unified_kernel_image/; the order and the details are ukify's).
 */
import { alignUp, utf8 } from "../bytes.ts";
import { byteLength, type Chunks, chunksOf, joinChunks } from "../chunks.ts";
import { SealError } from "../errors.ts";
import type { PeImage } from "./headers.ts";
import { DEFAULT_SBAT, mergeSbat, type SbatSource, sbatOf } from "./sbat.ts";

/** A section to be added: its content as views, exactly as long as VirtualSize will say. */
export interface UkiSection {
  readonly name: string;
  readonly content: Chunks;
  /** The content as a PE image, if it has been parsed already. */
  readonly pe?: PeImage;
}

/**
 * All that goes into a UKI (with a kernel) or an addon (without). Null: no such section; empty bytes: one of size 0.
 */
export interface UkiInputs {
  readonly stub: PeImage;
  readonly kernel: PeImage | null;
  readonly osRelease: Uint8Array | null;
  readonly cmdline: Uint8Array | null;
  readonly devicetree: Uint8Array | null;
  /** Device trees of which the stub picks the one that fits the machine. */
  readonly automaticDevicetrees: readonly Uint8Array[];
  /** Content of `.hwids`. */
  readonly hwids: Uint8Array | null;
  /** Kernel version, `uname -r`. */
  readonly uname: string | null;
  readonly splash: Uint8Array | null;
  readonly pcrPublicKey: Uint8Array | null;
  readonly initrds: readonly (Uint8Array | Chunks)[];
  /** Contents of `.efifw` sections. */
  readonly efiFirmware: readonly Uint8Array[];
  readonly microcode: Uint8Array | null;
  /** The user's own sections, after all others. */
  readonly custom: readonly UkiSection[];
  /** SBAT texts of the user's own; they take the place of the default line. */
  readonly sbat: readonly SbatSource[];
  /** Text of the base's `.profile`. Without joined profiles the file is that one profile, without `.sbat`. */
  readonly profile: string | null;
  /** Sections of each further profile, from its `.profile` on. */
  readonly joinedProfiles: readonly (readonly UkiSection[])[];
}

/** Names that may occur more than once in a profile. */
const REPEATABLE = new Set([".dtbauto", ".efifw"]);
/** The description of a base without one, if there are other profiles. */
const DEFAULT_PROFILE = "ID=main";

/**
 * The sections of a UKI in file order.
 * @returns the sections of the base and of each further profile, and one line for each SBAT text that was left out
 * @throws SealError `usage` for a section name that can't be used or occurs twice, `input` for SBAT
 *   data that is not text
 */
export function ukiSections(inputs: UkiInputs): { groups: UkiSection[][]; warnings: string[] } {
  const { kernel, profile, joinedProfiles } = inputs;
  const isProfile = profile !== null && joinedProfiles.length === 0;
  const sections: UkiSection[] = [
    ...one(".profile", isProfile ? utf8(profile) : null),
    ...one(".osrel", inputs.osRelease),
    ...one(".cmdline", inputs.cmdline),
    ...one(".dtb", inputs.devicetree),
    ...inputs.automaticDevicetrees.map((content) => ({ name: ".dtbauto", content: [content] })),
    ...one(".hwids", inputs.hwids),
    ...one(".uname", inputs.uname === null ? null : utf8(inputs.uname)),
    ...one(".splash", inputs.splash),
    ...one(".pcrpkey", inputs.pcrPublicKey),
    ...(kernel === null ? [] : [{ name: ".linux", content: kernel.file, pe: kernel }]),
    ...initrdSection(inputs.initrds),
    ...inputs.efiFirmware.map((content) => ({ name: ".efifw", content: [content] })),
    ...one(".ucode", inputs.microcode),
    ...inputs.custom,
  ];
  const warnings: string[] = [];
  if (!isProfile) {
    const { content, skipped } = mergeSbat(sbatSources(inputs));
    sections.push({ name: ".sbat", content: [content] });
    warnings.push(...skipped.map((subject) => `${subject}: no SBAT data (no line starts with "sbat,"), left out`));
  }
  // Last, so that all before it is shared.
  if (joinedProfiles.length > 0) sections.push(...one(".profile", utf8(profile ?? DEFAULT_PROFILE)));
  const groups = [sections, ...joinedProfiles.map((group) => [...group])];
  checkNames(groups.flat());
  return { groups, warnings };
}

function one(name: string, content: Uint8Array | null): UkiSection[] {
  return content === null ? [] : [{ name, content: [content] }];
}

/** A single initrd as it is; several padded with zeros to a multiple of four, as the kernel's unpacker needs them. */
function initrdSection(initrds: UkiInputs["initrds"]): UkiSection[] {
  const [first, ...others] = initrds.map(chunksOf);
  if (first === undefined) return [];
  if (others.length === 0) return [{ name: ".initrd", content: first }];
  const content = joinChunks(
    ...[first, ...others].flatMap((initrd) => {
      const length = byteLength(initrd);
      return [initrd, [new Uint8Array(alignUp(length, 4) - length)]];
    }),
  );
  return byteLength(content) === 0 ? [] : [{ name: ".initrd", content }];
}

/** A UKI can be revoked by what its stub and kernel say too; an addon does not run the stub's code. */
function sbatSources(inputs: UkiInputs): SbatSource[] {
  const { stub, kernel, sbat } = inputs;
  if (kernel === null) return sbat.length > 0 ? [...sbat] : [{ subject: "addon", text: DEFAULT_SBAT.addon }];
  const own = sbat.length > 0 ? sbat : [{ subject: "uki", text: DEFAULT_SBAT.uki }];
  return [...sbatOf(stub), ...sbatOf(kernel), ...own];
}

/**
 * A `.profile` starts a profile; names must be unique within one.
 * @throws SealError `usage` for a name that can't be used or occurs twice
 */
export function checkNames(sections: readonly UkiSection[]): void {
  let seen = new Set<string>();
  for (const { name } of sections) {
    if (!/^[\x20-\x7e]{1,8}$/.test(name)) {
      throw new SealError("usage", `section name ${JSON.stringify(name)}: give 1 to 8 printable ASCII characters`);
    }
    if (seen.has(name) && !REPEATABLE.has(name)) throw new SealError("usage", `section ${name} is given twice`);
    if (name === ".profile") seen = new Set();
    else seen.add(name);
  }
}
