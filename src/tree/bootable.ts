/**
 * The boot transform: `/boot` holds the UKI that carries the digest, so it can't be part of it, and `/sysroot` only
 * content that is not of this root; both must be there, as mount points, and are emptied. Then every node gets the
 * SELinux label of the tree's own policy.
 *
 * As `BootOps::transform_for_boot` of composefs-rs does it.
 */
import { utf8 } from "../bytes.ts";
import { checkBootEntries } from "./boot-entries.ts";
import type { MetadataChoice } from "./kept-metadata.ts";
import { type Directory, lookup } from "./node.ts";
import { withEntries } from "./rebuild.ts";
import type { Rootfs } from "./rootfs.ts";
import { applyLabels } from "./selinux/label.ts";
import { keepLabels, loadPolicy } from "./selinux/policy.ts";
import { replaceToplevel, requireToplevel } from "./toplevel.ts";
import type { TransformRules } from "./transform.ts";

const EMPTIED = ["boot", "sysroot"] as const;

/**
 * @param root what the tree is by now; the policy is read from `rootfs` itself, which no transform has emptied
 * @param choice which metadata counts, if `root` still has all of it
 * @returns a new tree; the given one is not changed
 * @throws SealError `input` when `/usr`, `/boot` or `/sysroot` is missing or no directory, boot entries of layers are
 * broken, or the SELinux policy can't be read or understood
 */
export async function bootTransform(
  root: Directory,
  rootfs: Rootfs,
  rules: TransformRules,
  choice: MetadataChoice,
): Promise<Directory> {
  if (rootfs.view === "layers") await checkBootEntries(rootfs);
  const emptied = emptyMountPoints(root, rules, rootfs.subject);
  const policy = await loadPolicy(rootfs, rules);
  const labelled = applyLabels(emptied, policy, rules.hardlinkLabels, choice);
  await keepLabels(rootfs);
  return labelled;
}

/** A tree with an empty `/boot`, which else is as it was; one without stays without. */
export function withoutBoot(root: Directory): Directory {
  const boot = lookup(root, utf8("boot"));
  if (boot?.kind !== "directory" || boot.entries.length === 0) return root;
  return withEntries(root, replaceToplevel(root, "boot", withEntries(boot, [])));
}

function emptyMountPoints(root: Directory, rules: TransformRules, subject: string): Directory {
  const usr = requireToplevel(root, "usr", subject);
  let result = root;
  for (const name of EMPTIED) {
    const directory = requireToplevel(result, name, subject);
    const mtimeNsec = rules.bootMtime === "seconds" ? directory.mtimeNsec : usr.mtimeNsec;
    const empty = withEntries({ ...directory, mtimeSec: usr.mtimeSec, mtimeNsec }, []);
    result = withEntries(result, replaceToplevel(result, name, empty));
  }
  return result;
}
