/** What of a tree enters the digest: the choices that a user and a bootc release make. */

/** Details of the transforms that differ between the releases of composefs-rs that bootc embeds. */
export interface TransformRules {
  /**
   * What `/boot` and `/sysroot` take of the time of `/usr` in the boot transform; `seconds`: their
   * own nanoseconds stay.
   */
  readonly bootMtime: "seconds" | "nanoseconds";
  /**
   * Two names of one hardlink that get different labels: one inode each, or one inode with the label of the last name.
   */
  readonly hardlinkLabels: "split" | "last";
  /**
   * A file_contexts line that Rust's regex syntax rejects (look-around, back reference): read as PCRE2, or an error.
   */
  readonly lookaround: "pcre2" | "refuse";
  /** Longest symlink target that is accepted, in bytes; null: no limit beyond the filesystem's. */
  readonly symlinkMax: number | null;
  /**
   * What `oci` and `boot` do with the xattrs of an image's layers; those of a mounted tree are
   * filtered in every release.
   */
  readonly layerXattrs: "filtered" | "all";
  /**
   * Whether mtime, uid and gid in PAX headers of layers count, or those of the tar header alone. Layers must
   * be read accordingly.
   */
  readonly paxOwners: "count" | "ignored";
}

/** Whether two releases transform trees alike. */
export function sameRules(a: TransformRules, b: TransformRules): boolean {
  return (Object.keys(a) as (keyof TransformRules)[]).every((key) => a[key] === b[key]);
}

/** How a tree is transformed before its digest is computed. */
export interface TransformOptions {
  readonly rules: TransformRules;
  /**
   * `none`: the tree as it is, without any filter; `oci`: what a container root means; `boot`: `oci`,
   * then what is booted.
   */
  readonly transform: "boot" | "oci" | "none";
  /** Which xattrs `oci` and `boot` keep: `security.capability` only, or `user.*` too. */
  readonly xattrs: "allowlist" | "keep-user";
  /** `seconds`: every mtime is cut to whole seconds first, as image layers keep them. */
  readonly mtime: "exact" | "seconds";
}
