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
  help: "the bootc release that has to accept the digest; repeatable",
  complete: ["latest"],
});

export const digestOptions = optionGroup("Digest", {
  erofs: choice(["v0", "v1", "v2"], {
    many: true,
    placeholder: "version",
    help: "format of the EROFS image; repeatable, for several digests",
    shownDefault: `that of the bootc release: ${SERIES.at(-1)?.erofs}`,
  }),
  algorithm: choice(["sha512", "sha256"], {
    placeholder: "name",
    default: DIGEST_DEFAULTS.algorithm,
    help: "fs-verity hash",
  }),
  bootc: bootcOption,
  transform: choice(["boot", "oci", "none"], {
    placeholder: "name",
    default: DIGEST_DEFAULTS.transform,
    help: "boot: as it is booted; oci: as an image means it; none: as it is, with all xattrs",
  }),
  xattrs: choice(["allowlist", "keep-user"], {
    placeholder: "mode",
    default: DIGEST_DEFAULTS.xattrs,
    help: "allowlist: keep security.capability only; keep-user: user.* too",
  }),
  mtime: choice(["auto", "exact", "seconds"], {
    placeholder: "precision",
    default: DIGEST_DEFAULTS.mtime,
    help: "exact: with nanoseconds; seconds: cut; auto: cut for a directory, as layers made of it have them",
  }),
  kargStyle: choice([...KARG_STYLES, "both"], {
    placeholder: "style",
    help: "form of the kernel argument: composefs=HEX or composefs.digest=v1-sha512-12:HEX; both: V1 in the long form and V2 in the short one, as bootc 1.17 writes them",
    shownDefault: "what the newest release and the initramfs take, and most older releases",
  }),
  jobs: count({ min: 1, max: 1024, env: true, help: "threads that hash files", shownDefault: "all cores" }),
})
  .and(platformOptions)
  .and(registryOptions)
  .and(cacheOptions);

export type DigestValues = GroupValues<typeof digestOptions>;

/** An installed system computes the digest in one way: verbs that seal what gets installed leave these two out. */
export const AS_INSTALLED = { transform: "boot", mtime: "auto" } as const;
