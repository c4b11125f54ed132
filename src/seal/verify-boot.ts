/**
 * Judges every program of a `/boot` or an EFI system partition as firmware with certain keys does (sign/verify.ts), and
 * if there is a shim, as shim does for the programs that it starts.
 */
import { resolve } from "node:path";
import { isEfiProgram, programKind, ukiVersion } from "../boot/efi-program.ts";
import { inputError, SealError } from "../errors.ts";
import { withInput } from "../io/read-input.ts";
import { parseSbat } from "../lint/sbat-level.ts";
import { addressWarnings } from "../pe/address-overlap.ts";
import { EFI_ARCHES, type EfiArch, efiArchOfMachine } from "../pe/arch.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { loaderInfo } from "../pe/loader-info.ts";
import { PePass } from "../pe/pe-pass.ts";
import { sbatOf } from "../pe/sbat.ts";
import { isShim } from "../sign/shim.ts";
import { type PeVerdict, refusalReason, type Trust, verifyPePass } from "../sign/verify.ts";
import { excerpt } from "../text.ts";
import { findBootFiles, keyOf, type ListedFile, type Uncovered } from "./boot-files.ts";
import type { Ports } from "./ports.ts";
import { askShim, type MachineShim, readStartingShims, type StartingShim, shimBefore } from "./starting-shims.ts";

/** The machine that starts the programs. */
export interface BootMachine {
  readonly trust: Trust;
  /** The architecture of its firmware; null: that of each program. */
  readonly arch: EfiArch | null;
  /** The variables of its shim. */
  readonly shim: MachineShim;
}

/** `not started`: nothing is wrong with it, but this firmware does not start such programs. */
export type ProgramOutcome = "accepted" | "refused" | "not started";

/** The verdict on one program of a `/boot`. */
export interface ProgramVerdict {
  /** From the directory that was given, readable. */
  readonly path: string;
  /** For people: `systemd-boot 257.13`, `UKI 6.12.107`. */
  readonly what: string;
  /** Null: it can't be read, or UEFI does not know its machine type. */
  readonly arch: EfiArch | null;
  readonly outcome: ProgramOutcome;
  /** Why it is accepted or not. */
  readonly reason: string;
  /** Warnings that don't change the outcome; each names the program. */
  readonly notes: readonly string[];
}

type Decision = Pick<ProgramVerdict, "outcome" | "reason">;

/** The verdict on all programs of a `/boot`. */
export interface BootVerdict {
  /** Whether at least one program is accepted, and none refused. */
  readonly valid: boolean;
  readonly programs: readonly ProgramVerdict[];
  readonly uncovered: readonly Uncovered[];
}

/**
 * Judges all programs of a directory.
 * @param directory a `/boot`, a partition, a system's root with these in it, or any other with programs
 * @param onProgram is called with each before it is judged
 * @throws SealError `input` when it has none, or for what can't be read
 */
export async function verifyBoot(
  directory: string,
  machine: BootMachine,
  { cwd }: Pick<Ports, "cwd">,
  onProgram: (path: string, index: number, count: number) => void = () => {},
): Promise<BootVerdict> {
  const { candidates, uncovered } = await findBootFiles(resolve(cwd, directory), directory);
  if (candidates.length === 0) {
    throw inputError(directory, "has no EFI program; give a /boot or a mounted EFI system partition");
  }
  const files = candidates.flatMap((one) => (one.kind === "file" ? [one] : []));
  const shims = await readStartingShims(files, machine.trust, machine.shim);
  const twins = new Map<string, string>();
  const programs: ProgramVerdict[] = [];
  for (const [index, candidate] of candidates.entries()) {
    const { path } = candidate;
    onProgram(path, index, candidates.length);
    const verdict =
      candidate.kind === "file"
        ? await judgeFile(candidate, machine, shims)
        : { ...UNREADABLE, path, reason: `is ${candidate.what}, which FAT can't store` };
    const twin = twins.get(keyOf(path));
    twins.set(keyOf(path), path);
    const note = twin === undefined ? [] : [`${path}: on FAT, which ignores case, it has the same name as ${twin}`];
    programs.push({ ...verdict, notes: [...verdict.notes, ...note] });
  }
  const count = (outcome: ProgramOutcome) => programs.filter((one) => one.outcome === outcome).length;
  return { valid: count("accepted") > 0 && count("refused") === 0, programs, uncovered };
}

/** Programs can say anything about themselves. */
const WHAT_LENGTH = 60;

const UNREADABLE = { what: "not a program", arch: null, outcome: "refused", notes: [] } as const;

async function judgeFile(
  { path, place }: ListedFile,
  machine: BootMachine,
  shims: readonly StartingShim[],
): Promise<ProgramVerdict> {
  return withInput(place, async (bytes) => {
    try {
      return judgeProgram(parsePe(bytes, path), machine, shims);
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      return { ...UNREADABLE, path, reason: error.message.replace(`${path}: `, "") };
    }
  });
}

function judgeProgram(pe: PeImage, machine: BootMachine, shims: readonly StartingShim[]): ProgramVerdict {
  const decision = otherwise(pe, machine.arch) ?? decide(pe, machine.trust, shims);
  const notes = decision.outcome === "accepted" ? addressWarnings(pe) : [];
  return {
    path: pe.subject,
    what: excerpt(whatIs(pe), WHAT_LENGTH),
    arch: efiArchOfMachine(pe.machine),
    ...decision,
    notes,
  };
}

/** A decision that needs no signatures; null: none. */
function otherwise(pe: PeImage, wanted: EfiArch | null): Decision | null {
  const arch = efiArchOfMachine(pe.machine);
  if (!isEfiProgram(pe)) return skipped(`it is not an EFI program (subsystem ${pe.subsystem})`);
  if (arch === null) return skipped(`it is for machine 0x${pe.machine.toString(16)}, which UEFI does not know`);
  const place = /(?:^|\/)efi\/boot\/boot([a-z0-9]+)\.efi$/.exec(keyOf(pe.subject))?.[1];
  const finder = EFI_ARCHES.find((one) => one === place);
  if (finder !== undefined && finder !== arch) {
    return { outcome: "refused", reason: `it is for ${arch}, but has the name that ${finder} firmware looks for` };
  }
  return wanted === null || wanted === arch ? null : skipped(`it is for ${arch}, the firmware is for ${wanted}`);
}

function skipped(reason: string): Decision {
  return { outcome: "not started", reason };
}

/** @throws SealError `input` when the certificate table is corrupt */
function decide(pe: PeImage, trust: Trust, shims: readonly StartingShim[]): Decision {
  const pass = new PePass(pe, "verify");
  const before = shimBefore(pe, shims);
  if (before !== null) {
    const answer = askShim(pass, before, { isDirect: true });
    return typeof answer === "string"
      ? { outcome: "refused", reason: `${answer} (shim, ${before.path}, starts it)` }
      : { outcome: "accepted", reason: `${authorityOf(answer)}, by shim` };
  }
  const verdict = verifyPePass(pass, trust);
  const refusal = refusalReason(verdict);
  if (refusal === null) return { outcome: "accepted", reason: authorityOf(verdict) };
  for (const shim of shims.filter(({ machine }) => machine === pe.machine)) {
    const answer = askShim(pass, shim, { isDirect: false });
    if (typeof answer !== "string") return { outcome: "accepted", reason: `${authorityOf(answer)}, by shim` };
  }
  return { outcome: "refused", reason: shortened(refusal, verdict).replace(/^not trusted: /, "") };
}

/** What makes a program accepted. */
function authorityOf({ decision, signatures }: PeVerdict): string {
  if (decision !== null) return decision.replace(/^trusted: /, "");
  const signature = signatures.find(({ outcome }) => outcome === "trusted");
  const { subject = "", authority = null, trustedBy = null } = signature ?? {};
  const signer = commonName(subject);
  return authority === subject || authority === null
    ? `${signer} in ${trustedBy}`
    : `${signer}, issued by ${commonName(authority)} in ${trustedBy}`;
}

/** The common name in a name, if it has one: tables have no room for countries and companies. */
function commonName(subject: string): string {
  return /(?:^|, )(CN=.+?)(?=, [A-Za-z0-9.]+=|$)/.exec(subject)?.[1] ?? subject;
}

/** A reason with the names of signers as {@link commonName} has them. */
function shortened(reason: string, { signatures }: PeVerdict): string {
  const names = signatures.flatMap(({ subject, issuer }) => [subject, issuer]).filter((name) => name !== "");
  return names.reduce((text, name) => text.replaceAll(name, () => commonName(name)), reason);
}

/** A description of a program for people. */
function whatIs(pe: PeImage): string {
  if (isShim(pe)) return "shim";
  const kind = programKind(pe);
  switch (kind) {
    case "uki":
      return ["UKI", ukiVersion(pe)].filter((part) => part !== null).join(" ");
    case "addon":
    case "kernel":
      return kind;
    case "boot-guard":
      return "unified kernel of EFI Boot Guard";
    case "other":
      return loaderInfo(pe) ?? sbatName(pe) ?? "program";
  }
}

/** The component that a program is, or is part of, which SBAT names after SBAT itself: `grub`. */
function sbatName(pe: PeImage): string | null {
  try {
    const component = sbatOf(pe).flatMap(({ text }) => parseSbat(text))[1]?.component ?? null;
    return component === "shim" ? "part of shim" : component;
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}
