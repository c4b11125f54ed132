/** Reads what machines start when they boot an image, and the keys that it has for them, and nothing else of it. */
import { openRootfs } from "../io/rootfs.ts";
import type { ImageSource } from "../io/rootfs-source.ts";
import { findPrograms, readProgram } from "../lint/boot-programs.ts";
import { enrolledDirectories, readKeyDirectory } from "../lint/install-keys.ts";
import type { BootPath } from "../sign/boot-reference.ts";
import { enroll } from "../sign/enroll.ts";
import { readPolicy, type SecureBootPolicy } from "../sign/secure-boot-policy.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { imageBootPaths, readablePrograms } from "./image-boot-paths.ts";
import type { Ports } from "./ports.ts";

/** The parts of an image that matter to firmware. */
export interface ImageBoot {
  /** One for each UKI, and each boot loader that may start it. */
  readonly paths: readonly BootPath[];
  /** The policy of a machine that enrolled the keys in the image; null: it has none, or several sets to choose from. */
  readonly policy: SecureBootPolicy | null;
}

/**
 * Reads it from the layers.
 * @throws SealError `input` for an image that can't be read or is not sealed, and for keys in it that can't be enrolled
 */
export async function readImageBoot(
  source: ImageSource,
  platform: string | undefined,
  { cwd, remote, progress }: Pick<Ports, "cwd" | "remote" | "progress">,
): Promise<ImageBoot> {
  const { onProgress, done } = progress.scan(`reading ${source.subject}`);
  const { rootfs, stats } = await openRootfs(source, {
    algorithm: null,
    xattrs: [],
    ...{ cwd, remote, platform, onProgress },
  });
  done(stats);
  const programs = await Promise.all(findPrograms(rootfs).map((place) => readProgram(rootfs, place)));
  const paths = await imageBootPaths(rootfs, await readablePrograms(rootfs, programs));
  return { paths, policy: await enrolledPolicy(rootfs) };
}

async function enrolledPolicy(rootfs: Rootfs): Promise<SecureBootPolicy | null> {
  const [directory, ...others] = enrolledDirectories(rootfs);
  if (directory === undefined || others.length > 0) return null;
  const { updates } = await readKeyDirectory(rootfs, directory);
  if (updates.size === 0) return null;
  const subject = `${rootfs.subject}: ${directory}`;
  const enrolments = [...updates].map(([name, { lists }]) => [name, { lists, append: false, time: null }] as const);
  return readPolicy(enroll({ variables: [], subject }, Object.fromEntries(enrolments)), subject);
}
