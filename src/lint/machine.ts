/**
 * What is known about a machine that was installed from an image (`InstalledMachine`), from that image and from what
 * the user says about its firmware. bootc put its systemd-boot onto the ESP, its keys where systemd-boot enrols them,
 * and its UKI; `bootc upgrade` changes the UKI and the boot entries, but nothing else there (bootc 1.16.9,
 * crates/lib/src/bootc_composefs: update.rs, boot.rs).
 */
import { cmdlinesOf } from "../boot/addons.ts";
import { type ComposefsWord, findComposefsWords } from "../boot/cmdline.ts";
import { toHex } from "../bytes.ts";
import type { Series } from "../composefs/series.ts";
import { SealError } from "../errors.ts";
import { type EfiArch, efiArchOfMachine } from "../pe/arch.ts";
import type { PeImage } from "../pe/headers.ts";
import { SECURE_BOOT_VARIABLES, type SecureBootVariable } from "../sign/authvar.ts";
import type { SignatureDatabase } from "../sign/database.ts";
import { enrollFileName } from "../sign/enroll-keys.ts";
import { refusalReason, type Trust, verifyPePass } from "../sign/verify.ts";
import { shortDigest } from "../text.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { isRead, type ReadProgram } from "./boot-programs.ts";
import type { InstalledMachine, LintContext } from "./context.ts";
import { enrolledDirectories, readKeyDirectory } from "./install-keys.ts";
import { notApplicable, type Rule, type RuleResult } from "./rule.ts";
import { pePass } from "./same-program.ts";

/** Variables of Secure Boot, as a machine has them or will have them. */
export interface MachineKeys {
  /** Where its db comes from, for messages: `auto/db.auth of oci:a`. */
  readonly source: string;
  readonly variables: ReadonlyMap<SecureBootVariable, SignatureDatabase>;
}

/** Keys whose db is known. */
export interface TrustingKeys extends MachineKeys {
  readonly trust: Trust;
}

/** The keys of a tree that a machine may enrol: one for each directory. */
export async function treeKeys(rootfs: Rootfs, subject: string): Promise<readonly MachineKeys[]> {
  const found: MachineKeys[] = [];
  for (const directory of enrolledDirectories(rootfs)) {
    const { updates } = await readKeyDirectory(rootfs, directory);
    const variables = new Map(
      SECURE_BOOT_VARIABLES.flatMap((name) => {
        const update = updates.get(name);
        return update === undefined ? [] : [[name, update.database] as const];
      }),
    );
    const name = directory.slice(directory.lastIndexOf("/") + 1);
    found.push({ source: `${name}/${enrollFileName("db")} of ${subject}`, variables });
  }
  return found;
}

/**
 * The keys in the firmware of a machine: those that the user gave, else those that its image enrols, which may be one
 * of several sets.
 */
export async function machineKeys({ subject, runs, db, dbx }: InstalledMachine): Promise<readonly MachineKeys[]> {
  const enrolled = await treeKeys(runs.rootfs, subject);
  const known =
    enrolled.length === 0 && (db !== null || dbx !== null) ? [{ source: subject, variables: new Map() }] : enrolled;
  return known.map(({ source, variables }) => ({
    source: db === null ? source : "the given db",
    variables: new Map([...variables, ...named("db", db), ...named("dbx", dbx)]),
  }));
}

function named(name: SecureBootVariable, database: SignatureDatabase | null) {
  return database === null ? [] : [[name, database] as const];
}

/** Trust in those keys whose db is known, as firmware has it. @param now for the validity of certificates */
export function trusting(keys: readonly MachineKeys[], now: Date): readonly TrustingKeys[] {
  return keys.flatMap((one) => {
    const db = one.variables.get("db");
    if (db === undefined) return [];
    const { certificates, imageHashes } = db;
    return [{ ...one, trust: { certificates, imageHashes, now, revoked: one.variables.get("dbx") } }];
  });
}

/**
 * Why firmware does not start a program; null when it does.
 * @throws SealError `input` when its certificate table is corrupt
 */
export function firmwareRefusal(pe: PeImage, trust: Trust): string | null {
  return refusalReason(verifyPePass(pePass(pe), trust));
}

/** The entries of a variable that are about programs: names for people, by a key that identifies each. */
export function databaseEntries(database: SignatureDatabase): ReadonlyMap<string, string> {
  const { certificates, imageHashes, certificateHashes } = database;
  const hash = (of: string, digest: Uint8Array) => `the hash ${shortDigest(toHex(digest))} of ${of}`;
  return new Map([
    ...certificates.map(({ der, subjectText }) => [toHex(der), subjectText] as const),
    ...imageHashes.map(({ digest }) => [`image ${toHex(digest)}`, hash("a program", digest)] as const),
    ...certificateHashes.map(({ digest }) => [`certificate ${toHex(digest)}`, hash("a certificate", digest)] as const),
  ]);
}

/** The UKIs of a tree that can be read. */
export async function readUkis(context: Pick<LintContext, "ukis">): Promise<readonly ReadProgram[]> {
  return (await context.ukis()).filter(isRead);
}

/** What machines the UKIs of a tree are for. */
export async function ukiArches(context: Pick<LintContext, "ukis">): Promise<ReadonlySet<EfiArch>> {
  return new Set((await readUkis(context)).flatMap(({ pe }) => efiArchOfMachine(pe.machine) ?? []));
}

/** The arguments that name digests on all command lines of the UKIs. */
export async function ukiWords(context: Pick<LintContext, "ukis">): Promise<readonly ComposefsWord[]> {
  return (await readUkis(context)).flatMap(({ pe }) => cmdlinesOf(pe).flatMap(findComposefsWords));
}

/** The bootc releases that may pull the next image. */
export type MachineReleases =
  | { readonly kind: "known"; readonly seriesList: readonly Series[]; readonly name: string }
  | { readonly kind: "unknown"; readonly why: string };

export async function machineReleases({ subject, runs, seriesList }: InstalledMachine): Promise<MachineReleases> {
  if (seriesList !== null) {
    return { kind: "known", seriesList, name: `bootc ${seriesList.map(({ name }) => name).join(", ")} (--bootc)` };
  }
  const bootc = await bootcOf(runs);
  if (bootc === null) return { kind: "unknown", why: `no package database in ${subject} has bootc's version` };
  const { version, series } = bootc;
  return series === null
    ? { kind: "unknown", why: `bootc ${version} of ${subject} is older than any release seal knows` }
    : { kind: "known", seriesList: [series], name: `bootc ${version}` };
}

/** A package database that can't be read yields nothing. */
async function bootcOf({ bootc }: Pick<LintContext, "bootc">) {
  try {
    return await bootc();
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

/**
 * Makes a rule about what happens to a machine that is updated to this image; it does not apply to machines of another
 * architecture.
 */
export function afterRule(
  rule: Omit<Rule, "applies" | "check">,
  check: (context: LintContext, machine: InstalledMachine) => RuleResult | Promise<RuleResult>,
): Rule {
  return {
    ...rule,
    applies: "after",
    check: async (context) => {
      const { after } = context;
      if (after === null) return notApplicable(NO_MACHINE);
      return (await isForOthers(context, after))
        ? notApplicable("it is for other machines (after-machine)")
        : check(context, after);
    },
  };
}

export const NO_MACHINE = "--after, the image that machines run now, is not given";

/** Whether an image has UKIs, but none for the machine. */
export async function isForOthers(context: LintContext, { runs }: InstalledMachine): Promise<boolean> {
  const [next, installed] = [await ukiArches(context), await ukiArches(runs)];
  return next.size > 0 && installed.size > 0 && ![...next].some((arch) => installed.has(arch));
}
