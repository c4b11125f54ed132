/** The options that decide on a composefs digest, shared by all verbs that compute one. */

import { KARG_STYLES } from "../../boot/cmdline.ts";
import { LATEST_RELEASE, SERIES } from "../../composefs/releases.ts";
import { parseRootfsSource } from "../../io/rootfs-source.ts";
import { DIGEST_DEFAULTS } from "../../seal/digest-plan.ts";
import { cacheOptions } from "./cache.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { choice, count, parsed, text } from "./option.ts";
import { platformOptions } from "./platform.ts";
import { registryOptions } from "./registry.ts";

export const rootfsArgument = parsed(parseRootfsSource, {
  problem: "give a root filesystem",
  default: "/target",
  complete: "directory",
  help: "root filesystem: a directory, oci:PATH[:TAG], oci-archive:FILE, docker-archive:FILE, docker://REF, containers-storage:REF, docker-daemon:REF, tar:FILE, erofs:FILE or dumpfile:FILE",
});

export const bootcOption = text({
  many: true,
  placeholder: "version",
  shownDefault: `latest: ${LATEST_RELEASE}`,
  help: "bootc release that must accept the digest; repeatable",
  complete: ["latest"],
});

export const digestOptions = optionGroup("Digest", {
  erofs: choice(["v0", "v1", "v2"], {
    many: true,
    placeholder: "version",
    help: "format of the EROFS image: v0, v1 or v2; repeatable, one digest each",
    shownDefault: `that of the bootc release: ${SERIES.at(-1)?.erofs}`,
  }),
  algorithm: choice(["sha512", "sha256"], {
    placeholder: "name",
    default: DIGEST_DEFAULTS.algorithm,
    help: "fs-verity hash: sha512 or sha256",
  }),
  bootc: bootcOption,
  transform: choice(["boot", "oci", "none"], {
    placeholder: "name",
    default: DIGEST_DEFAULTS.transform,
    help: "boot: as mounted at boot; oci: as an OCI root; none: unchanged, with all xattrs",
  }),
  xattrs: choice(["allowlist", "keep-user"], {
    placeholder: "mode",
    default: DIGEST_DEFAULTS.xattrs,
    help: "allowlist: keep security.capability only; keep-user: also keep user.*",
  }),
  mtime: choice(["auto", "exact", "seconds"], {
    placeholder: "precision",
    default: DIGEST_DEFAULTS.mtime,
    help: "exact: keep nanoseconds; seconds: truncate; auto: truncate for directories, since OCI layers store whole seconds",
  }),
  kargStyle: choice([...KARG_STYLES, "both"], {
    placeholder: "style",
    help: "form of the kernel argument: composefs=HEX or composefs.digest=v1-sha512-12:HEX; both: the V1 digest as composefs.digest=, the V2 digest as composefs=, as bootc 1.17 writes them",
    shownDefault: "the style accepted by the newest release, the initramfs and most older releases",
  }),
  jobs: count({ min: 1, max: 1024, env: true, help: "number of threads that hash files", shownDefault: "all cores" }),
})
  .and(platformOptions)
  .and(registryOptions)
  .and(cacheOptions);

export type DigestValues = GroupValues<typeof digestOptions>;

/** An installed system computes the digest in one way: verbs that seal what gets installed leave these two out. */
export const AS_INSTALLED = { transform: "boot", mtime: "auto" } as const;
