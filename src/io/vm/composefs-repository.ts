/**
 * A composefs repository as a machine has it on its root disk, made by cfsctl from an image: objects named by their
 * digest, and images named by theirs. Made on any filesystem and by any user; fs-verity comes with the filesystem of
 * the disk (see verity-files.ts).
 */
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { VerityAlgorithm } from "../../composefs/series.ts";
import { SealError } from "../../errors.ts";
import { type Environment, runProgram } from "../exec.ts";

/** Where it is on the root disk (composefs-rs, bootc). */
const REPOSITORY = "composefs";
/** What the image is called in it. */
const NAME = "seal-boot-test";
const IMAGE_NAME = /^(?:[0-9a-f]{64}|[0-9a-f]{128})$/;

export interface RepositoryOptions {
  /** Absolute path of cfsctl. */
  readonly cfsctl: string;
  /** Image reference as cfsctl takes it. */
  readonly image: string;
  readonly algorithm: VerityAlgorithm;
  /** Digests that the image is expected under, in hex. */
  readonly wanted: readonly string[];
  /** An empty directory that becomes the root directory of the disk. */
  readonly directory: string;
  readonly env: Environment;
}

/**
 * Pulls an image into a new repository.
 * @returns the digests of the images that can be booted from it, in hex
 * @throws SealError `external` when cfsctl refuses the image
 */
export async function makeRepository(options: RepositoryOptions): Promise<readonly string[]> {
  const { cfsctl, image, algorithm, wanted, directory, env } = options;
  const run = (...args: readonly string[]) =>
    runProgram(cfsctl, ["--repo", join(directory, REPOSITORY), ...args], {
      cwd: directory,
      // A backtrace would be where its reason is looked for.
      env: { ...env, RUST_BACKTRACE: "0", RUST_LIB_BACKTRACE: "0" },
    });
  await run("init", "--insecure", "--algorithm", `fsverity-${algorithm}-12`);
  await run("oci", "pull", "--bootable", image, NAME);
  let images = await listImages(directory);
  for (const digest of wanted) {
    if (images.includes(digest)) continue;
    // Another EROFS version or xattr filter, as older releases of bootc have them; cfsctl fails when none of them
    // results in this digest.
    await run("oci", "pull", "--bootable", "--expected-digest", digest, image, NAME).catch((error: unknown) => {
      if (!(error instanceof SealError)) throw error;
    });
    images = await listImages(directory);
  }
  return images;
}

async function listImages(directory: string): Promise<readonly string[]> {
  const names = await readdir(join(directory, REPOSITORY, "images"));
  return names.filter((name) => IMAGE_NAME.test(name)).sort();
}

/**
 * What a machine needs to write while an image runs: a place for changes to /etc, and /var
 * (composefs-rs, "state/deploy").
 */
export async function makeState(directory: string, digests: readonly string[]): Promise<void> {
  for (const digest of digests) {
    for (const name of ["etc/upper", "etc/work", "var"]) {
      await mkdir(join(directory, "state/deploy", digest, name), { recursive: true, mode: 0o755 });
    }
  }
}

/** A file that must have fs-verity on the disk. */
export interface ObjectFile {
  /** Relative to the root directory. */
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * The files of a repository that must have fs-verity: all objects, and `meta.json`, which says
 * thereby that all have it.
 */
export async function listObjects(directory: string): Promise<readonly ObjectFile[]> {
  const paths = [`${REPOSITORY}/meta.json`];
  for (const prefix of await readdir(join(directory, REPOSITORY, "objects"))) {
    const names = await readdir(join(directory, REPOSITORY, "objects", prefix));
    for (const name of names) paths.push(`${REPOSITORY}/objects/${prefix}/${name}`);
  }
  const files: ObjectFile[] = [];
  for (const path of paths) files.push({ path, size: (await stat(join(directory, path))).size });
  return files;
}
