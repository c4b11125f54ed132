/** What rules see: the tree, the programs in its /boot (read once, when first asked for), and what the user said. */
import { type BootcVersion, bootcVersion } from "../boot/bootc-version.ts";
import type { Series } from "../composefs/series.ts";
import type { ParsedCertificate } from "../sign/certificate.ts";
import type { SignatureDatabase } from "../sign/database.ts";
import type { Node } from "../tree/node.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { type BootProgram, findPrograms, type ReadProgram, readProgram } from "./boot-programs.ts";
import { type BootWay, bootWays } from "./boot-ways.ts";
import { nodeAt } from "./files.ts";
import { type UkiFacts, type UkiHosts, ukiHosts } from "./hosts.ts";
import type { LintImage } from "./image.ts";
import type { RevocationLevel } from "./sbat-level.ts";
import { type RootfsReader, TreeDigests } from "./tree-digests.ts";

/** A machine that was installed from another image and is to be updated to the one that is checked. */
export interface InstalledMachine {
  /** How messages call the image that it runs. */
  readonly subject: string;
  /** That image. */
  readonly runs: LintContext;
  /** The db and dbx of its firmware if the user gave them; null: the keys that its image has to enrol. */
  readonly db: SignatureDatabase | null;
  readonly dbx: SignatureDatabase | null;
  /**
   * The series of the bootc releases that pull the next image, if the user named them; null: that of the bootc in its
   * image.
   */
  readonly seriesList: readonly Series[] | null;
}

/** What lint rules are given about a tree. */
export interface LintOptions {
  /** Expected signers; none: any signer. */
  readonly certificates: readonly ParsedCertificate[];
  /** For the validity of certificates. */
  readonly now: Date;
  /** The series of bootc releases that the image is for. */
  readonly seriesList: readonly [Series, ...Series[]];
  /** Whether an unsealed tree is an error. */
  readonly mustBeSealed: boolean;
  /** SBAT generations below which a program is revoked; null: not checked. */
  readonly sbatLevel: RevocationLevel | null;
  /** Null: it is not an image, or not linted as one. */
  readonly image: LintImage | null;
  /** Null: not asked for. */
  readonly after: InstalledMachine | null;
  readonly rootfsFor: RootfsReader;
}

/** What lint rules see: the tree, its programs and what is known of the image. */
export interface LintContext extends Omit<LintOptions, "rootfsFor">, UkiFacts {
  /** Whether there is something in /boot that a boot loader or firmware looks at. */
  readonly sealed: boolean;
  /** All EFI programs in /boot, by path. */
  readonly programs: () => Promise<readonly BootProgram[]>;
  /** Those that are addons by their name, *.addon.efi, wherever they are. */
  readonly addons: () => Promise<readonly BootProgram[]>;
  /** Which bootc releases accept the UKIs. */
  readonly hosts: () => Promise<readonly UkiHosts[]>;
}

/** Makes what lint rules see of a root filesystem; programs and digests are read when a rule first asks. */
export function createContext(rootfs: Rootfs, options: LintOptions): LintContext {
  let programs: Promise<readonly BootProgram[]> | null = null;
  const read = () => {
    programs ??= Promise.all(findPrograms(rootfs).map((place) => readProgram(rootfs, place)));
    return programs;
  };
  const { rootfsFor, ...rest } = options;
  const digests = new TreeDigests(rootfs.view, rootfsFor);
  const ukis = async () => (await read()).filter((program) => program.role === "uki");
  let hosts: Promise<readonly UkiHosts[]> | null = null;
  const ways = new Map<ReadProgram, Promise<readonly BootWay[]>>();
  let bootc: Promise<BootcVersion | null> | null = null;
  const bootcOf = () => {
    bootc ??= bootcVersion(rootfs);
    return bootc;
  };
  const waysOf = (uki: ReadProgram) => {
    const known = ways.get(uki) ?? bootWays(uki.pe);
    ways.set(uki, known);
    return known;
  };
  return {
    ...rest,
    rootfs,
    sealed: ["boot/EFI", "boot/loader"].some((path) => hasEntries(nodeAt(rootfs, path))),
    digests,
    programs: read,
    ukis,
    addons: async () => (await read()).filter((program) => program.role === "addon"),
    hosts: () => {
      hosts ??= ukiHosts({ rootfs, image: rest.image, ukis, digests, bootWays: waysOf, bootc: bootcOf });
      return hosts;
    },
    bootc: bootcOf,
    bootWays: waysOf,
  };
}

function hasEntries(node: Node | null): boolean {
  return node?.kind === "directory" && node.entries.length > 0;
}
