/**
 * Contents that are kept while layers are read, because seal will want them: policies, configuration, kernels, EFI programs, databases of
 * packages, what may be a private key. For what is not kept its layer is unpacked once more, which takes as long as everything else.
 */
import { latin1 } from "../../bytes.ts";
import type { ExternalContent } from "../../tree/node.ts";

/** All kept contents together. */
const TOTAL_LIMIT = 192n << 20n;
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

export class KeptContents {
  readonly #needs: ContentNeeds;
  readonly #contents = new Map<ExternalContent, Uint8Array>();
  #left = TOTAL_LIMIT;

  constructor(needs: ContentNeeds) {
    this.#needs = needs;
  }

  /** @param path as it stands in the archive */
  wants(path: Uint8Array, size: bigint): boolean {
    const name = latin1(path).replace(/^[./]+/, "");
    if (this.#needs === "digest") return FOR_DIGEST.some((pattern) => pattern.test(name));
    if (size <= SMALL && (!name.startsWith("usr/") || KEY_NAME.test(name))) return true;
    return WANTED.some((pattern) => pattern.test(name));
  }

  /** Sets memory aside for a content that is wanted. @returns whether it will be kept: it is wanted, and not too much */
  reserve(path: Uint8Array, size: bigint): boolean {
    if (size > this.#left || !this.wants(path, size)) return false;
    this.#left -= size;
    return true;
  }

  keep(content: ExternalContent, bytes: Uint8Array): void {
    this.#contents.set(content, bytes);
  }

  get(content: ExternalContent): Uint8Array | undefined {
    return this.#contents.get(content);
  }
}
