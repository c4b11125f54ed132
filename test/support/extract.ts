/** Root filesystems of the golden data as directories. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { vector } from "./vectors.ts";

/** Extracts a case of `test/vectors/composefs` into a new directory; needs root. */
export function extractCase(name: string, parent: string): string {
  const directory = join(parent, name);
  mkdirSync(directory);
  const args = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-p", "-xf", "-", "-C", directory];
  // Times before 1970 make tar warn, and that only.
  execFileSync("tar", args, { input: vector(`composefs/${name}.tar.gz`), stdio: ["pipe", "ignore", "ignore"] });
  return directory;
}
