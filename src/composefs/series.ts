/**
 * What is known of bootc releases: which digest they compute, which arguments of a command line they and their
 * initramfs read, and what else in an image they can't take. Releases of one series behave alike. The data is in
 * releases.ts; docs/hosts.md shows it.
 */
import type { TransformRules } from "../tree/transform.ts";

/** A version of the EROFS format that composefs defines. */
export type ErofsVersion = "v0" | "v1" | "v2";
/** The hash algorithm of fs-verity. */
export type VerityAlgorithm = "sha512" | "sha256";

/**
 * Which words of a command line count, for bootc in `install` and `upgrade` where it compares the UKI with what it
 * pulled, or for a program in an initramfs. `composefs`: the first `composefs=`; `composefs.digest`: the first
 * `composefs.digest=` of SHA-512, of whatever format, and only where there is none the first `composefs=`; `all`: for
 * bootc each of them must be a digest that it finds, and an initramfs tries them in order (docs/hosts.md).
 */
export type DigestReader = "composefs" | "composefs.digest" | "all";

/**
 * How a fact is known. `run`: seen with the tool, or with another one of the same code; `source`: read in the source,
 * the documentation or the release notes of the project; `inferred`: from what else the release has.
 */
export type Evidence = "run" | "source" | "inferred";

/** The facts of a {@link Series} whose evidence is given. */
export const FACTS = ["digest", "reads", "layers", "mark", "aboot", "osrel", "status", "initramfs", "verity"] as const;
/** The name of a fact about a series of bootc releases. */
export type Fact = (typeof FACTS)[number];

/** How one series of bootc releases turns a tree into a digest. */
export interface Series {
  /** First and last release of the series, for people: `1.16.4–1.16.9`. */
  readonly name: string;
  /** Releases, oldest first, by their version. */
  readonly releases: readonly string[];
  /** composefs-rs revision or version. */
  readonly composefs: string;
  readonly erofs: ErofsVersion;
  readonly rules: TransformRules;
  readonly reads: DigestReader;
  /** What of a compressed layer is unpacked: the first Zstandard frame or gzip member, or all of them. */
  readonly layers: "first" | "all";
  /**
   * What `?` on a digest means to the host: `noted`: only a warning; `binding`: it must be on all arguments of all UKIs
   * or on none, and a host that requires fs-verity refuses it.
   */
  readonly mark: "noted" | "binding";
  /** Whether `/boot/aboot-*.img` are payloads to boot, which exclude a UKI. */
  readonly aboot: boolean;
  /** What the `.osrel` of a UKI must have: text with a name, or the UKI can't be installed. */
  readonly osrel: "named";
  /** By which arguments bootc knows that it runs from composefs: without one there is no update. */
  readonly status: "composefs" | "any";
  /** Which arguments its own initramfs reads. */
  readonly initramfs: DigestReader;
  /** Whether its own initramfs insists on fs-verity in every case. */
  readonly verity: "insists" | "not-always";
  readonly evidence: Readonly<Record<Fact, Evidence>>;
}
