/**
 * shim on a `/boot`, and what it starts instead of firmware: the boot loader next to it, and whatever that loads
 * through shim (shim, shim.c: `verify_buffer_authenticode`, `verify_buffer_sbat`).
 */
import { stat } from "node:fs/promises";
import { SealError } from "../errors.ts";
import { withInput } from "../io/read-input.ts";
import { parseRevocationLevel, parseSbat, type RevocationLevel, revokedEntries } from "../lint/sbat-level.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { PePass } from "../pe/pe-pass.ts";
import { sbatOf } from "../pe/sbat.ts";
import { shimLevels } from "../pe/shim-levels.ts";
import { type AddedTrust, joinTrust } from "../sign/join-trust.ts";
import { isShim, vendorTrust } from "../sign/shim.ts";
import { type PeVerdict, refusalReason, type Trust, verifyPePass } from "../sign/verify.ts";
import { keyOf, type ListedFile } from "./boot-files.ts";

/** The variables that the shim of a machine uses. */
export interface MachineShim {
  /** MokList and MokListX. */
  readonly trust: AddedTrust;
  /** Text of SbatLevel; null: not known. */
  readonly sbatLevel: string | null;
  /** A level that replaces that one and those built into shims; null: none. */
  readonly supposedLevel: RevocationLevel | null;
}

/** A shim that firmware starts. */
export interface StartingShim {
  readonly path: string;
  readonly machine: number;
  readonly trust: Trust;
  /** Null: it is older than SBAT. */
  readonly level: RevocationLevel | null;
}

/** A level that revokes nothing. */
const FIRST_LEVEL = "sbat,1,2021030218\n";
/** All shims are smaller; larger files are not read. */
const SHIM_LIMIT = 8 << 20;
/**
 * Programs that shim itself starts, from its own directory: the boot loader, MokManager, and the one that creates boot
 * options.
 */
const SECOND_STAGE = /^(?:grub|mm|fb)[a-z0-9]+\.efi$/;

/** Those of the files that are shim, and that firmware with this trust starts. */
export async function readStartingShims(
  files: readonly ListedFile[],
  firmware: Trust,
  machine: MachineShim,
): Promise<readonly StartingShim[]> {
  const shims: StartingShim[] = [];
  for (const { path, place } of files) {
    // A file that is gone by now is reported when it is read.
    const size = (await stat(place).catch(() => null))?.size ?? 0;
    if (size > SHIM_LIMIT) continue;
    const shim = await withInput(place, async (bytes) =>
      unlessBad(() => {
        const pe = parsePe(bytes, path);
        return isShim(pe) && refusalReason(verifyPePass(new PePass(pe, "verify"), firmware)) === null
          ? startingShim(pe, firmware, machine)
          : null;
      }),
    );
    if (shim !== null) shims.push(shim);
  }
  return shims;
}

/** Null if it is invalid; its own verdict as a program reports that. */
function unlessBad<Result>(read: () => Result): Result | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

function startingShim(pe: PeImage, firmware: Trust, { trust, sbatLevel, supposedLevel }: MachineShim): StartingShim {
  // Before 15.7 shim begins with this one, and has no section for it; those older than SBAT have no SBAT themselves.
  const own = shimLevels(pe)?.automatic ?? (sbatOf(pe).length > 0 ? FIRST_LEVEL : null);
  const level = [own, sbatLevel].filter((text) => text !== null).toSorted((a, b) => dateOf(b) - dateOf(a))[0];
  return {
    path: pe.subject,
    machine: pe.machine,
    trust: withoutCertificateHashes(joinTrust(firmware, [vendorTrust(pe, pe.subject), trust])),
    level: supposedLevel ?? (level === undefined ? null : parseRevocationLevel(level, pe.subject)),
  };
}

/**
 * shim looks for certificates themselves in lists of what is revoked, and skips their hashes (shim,
 * verify.c: `check_db_cert`).
 */
function withoutCertificateHashes(trust: Trust): Trust {
  return trust.revoked === undefined ? trust : { ...trust, revoked: { ...trust.revoked, certificateHashes: [] } };
}

/** The date of a level, `sbat,1,2025021800`: shim uses the newer one. */
function dateOf(level: string): number {
  return Number(/^sbat,\d+,(\d+)/.exec(level)?.[1] ?? 0);
}

/** The shim that starts a program by itself; null: none does, and firmware may be asked first. */
export function shimBefore({ subject, machine }: PeImage, shims: readonly StartingShim[]): StartingShim | null {
  const [directory, name] = split(subject);
  if (!SECOND_STAGE.test(name)) return null;
  return shims.find((shim) => shim.machine === machine && split(shim.path)[0] === directory) ?? null;
}

function split(path: string): readonly [directory: string, name: string] {
  const key = keyOf(path);
  const end = key.lastIndexOf("/") + 1;
  return [key.slice(0, end), key.slice(end)];
}

/**
 * The decision of a shim about a program.
 * @param options.isDirect whether it starts it by itself, which takes SBAT
 * @returns why it refuses it; or the verdict, which accepts it
 * @throws SealError `input` when the certificate table of the program is corrupt
 */
export function askShim(
  pass: PePass,
  shim: StartingShim,
  { isDirect }: { readonly isDirect: boolean },
): string | PeVerdict {
  const entries = sbatOf(pass.pe).flatMap(({ text }) => parseSbat(text));
  if (isDirect && entries.length === 0 && shim.level !== null) return "it has no .sbat section";
  const [old] = shim.level === null ? [] : revokedEntries(entries, shim.level);
  if (old !== undefined) {
    const { component, generation, wanted } = old;
    return `its SBAT generation of ${component} is ${generation}, generations below ${wanted} are revoked`;
  }
  const verdict = verifyPePass(pass, shim.trust);
  const refusal = refusalReason(verdict);
  if (refusal === null) return verdict;
  // A revoked signature forbids only itself: shim goes on to the next.
  const { revoked } = shim.trust;
  const isOtherGood = revoked !== undefined && verdict.signatures.some(({ outcome }) => outcome === "trusted");
  if (!isOtherGood) return refusal;
  const { valid, decision } = verifyPePass(pass, { ...shim.trust, revoked: { ...revoked, certificates: [] } });
  return valid ? { ...verdict, valid, decision } : refusal;
}
