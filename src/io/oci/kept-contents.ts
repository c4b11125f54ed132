/**
 * Contents that are kept while layers are read, because seal will want them: policies, configuration, kernels, EFI
 * programs, databases of packages, what may be a private key. For what is not kept its layer is unpacked once more,
 * which takes as long as everything else.
 */
import { latin1 } from "../../bytes.ts";

/** All kept contents together, in KiB. */
export const KEPT_LIMIT = 192 << 10;
const SMALL = 64n << 10n;

/** What a digest depends on: labels, and the boot entries that bootc reads. */
const FOR_DIGEST: readonly RegExp[] = [/^etc\/selinux\//, /^boot\/loader\/entries\//];
const WANTED: readonly RegExp[] = [
  ...FOR_DIGEST,
  /^usr\/lib\/modules\/[^/]+\/(?:vmlinuz|initramfs\.img|modules\.(?:builtin|dep)|[^/]+\.efi)$/,
  /^usr\/lib\/(?:os-release$|bootc\/|ostree\/|sysusers\.d\/|tmpfiles\.d\/|bootupd\/|composefs\/)/,
  /^usr\/lib\/systemd\/(?:boot\/efi\/|systemd$)/,
  /^usr\/share\/doc\/bootc\//,
  /^usr\/lib\/(?:efi|shim)\/(?:.*\/)?shim[^/]*$/i,
  /^(?:var\/lib|usr\/lib\/sysimage)\/dpkg\/status$/,
  /^(?:var\/lib|usr\/lib\/sysimage|usr\/share)\/rpm\/rpmdb\.sqlite$/,
  /^boot\/(?:EFI|loader|efi)\//i,
];
/** Names of keys and certificates; elsewhere than below usr everything small may be one. */
const KEY_NAME = /(?:\.(?:key|pem|p12|pfx|pk8|p8|der|jks|gpg|asc)|\/id_[a-z0-9_]+|_key)$/i;

/** What the contents are for: only the digest, or everything that verbs do. */
export type ContentNeeds = "digest" | "all";

/**
 * Whether a content should be kept, as far as there is memory. With `all` these are also all that may be private keys.
 * @param path as in the archive
 */
export function isNeeded(path: Uint8Array, size: bigint, needs: ContentNeeds): boolean {
  const given = latin1(path).replace(/^(?:\.?\/)+/, "");
  // Hardly a file is called so, and this is asked of each.
  const name = given.endsWith("/") || given.endsWith("/.") ? given.replace(/(?:\/\.?)+$/, "") : given;
  if (needs === "digest") return FOR_DIGEST.some((pattern) => pattern.test(name));
  if (size <= SMALL && (!name.startsWith("usr/") || KEY_NAME.test(name))) return true;
  return WANTED.some((pattern) => pattern.test(name));
}

const EXAMINED = /^(?:\.?\/)*usr\/lib\/modules\/[^/]+\/initramfs\.img$/;

/**
 * Memory for a content that is kept: shared with other threads for an initramfs, which one of them unpacks while the
 * digests of an image are computed. Programs can't be there: the headers of a PE file are not read in shared memory.
 */
export function memoryFor(path: Uint8Array, size: number): Uint8Array {
  return EXAMINED.test(latin1(path)) ? new Uint8Array(new SharedArrayBuffer(size)) : new Uint8Array(size);
}
