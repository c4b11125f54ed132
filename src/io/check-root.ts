/** Whether a directory may be taken as a root filesystem at all. */
import { type BigIntStats, existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { inputError, SealError } from "../errors.ts";
import { reasonOf } from "./files.ts";

/**
 * Follows symlinks; a bind mount of `/` is `/` too.
 * @throws SealError `input` when it is not a directory, the root of the running system or an image as it is stored
 */
export function checkRoot(path: string): void {
  const found = statRoot(path);
  const own = statSync("/", { bigint: true });
  if (found.dev === own.dev && found.ino === own.ino) {
    const way = "Mount the root filesystem to be sealed and give its path (usually /target).";
    throw new SealError("input", `refusing to seal the running system's /. ${way}`);
  }
  // Its blobs would be sealed as files of a system.
  if (LAYOUT_FILES.every((name) => existsSync(join(path, name))) && !existsSync(join(path, "usr"))) {
    throw inputError(path, `is an OCI layout, not a root filesystem; give oci:${path} for the image in it`);
  }
}

/** What every OCI layout has (OCI image specification, "Image Layout"). */
const LAYOUT_FILES = ["oci-layout", "index.json", "blobs"];

function statRoot(path: string): BigIntStats {
  let stat: BigIntStats;
  try {
    stat = statSync(path, { bigint: true });
  } catch (error) {
    throw inputError(path, `can't be read: ${reasonOf(error)}; give the directory of a root filesystem`, error);
  }
  if (!stat.isDirectory())
    throw inputError(
      path,
      "is not a directory; give the directory of a root filesystem, or tar:FILE for an archive of one",
    );
  return stat;
}
