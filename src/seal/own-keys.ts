/** The keys that an image has for machines to enrol, which the firmware of a machine installed from it then has. */
import { SealError } from "../errors.ts";
import { enrolledDirectories, readKeyDirectory } from "../lint/install-keys.ts";
import { SECURE_BOOT_VARIABLES } from "../sign/authvar.ts";
import { type Enrolments, enroll } from "../sign/enroll.ts";
import { joinSignatureLists } from "../sign/list-source.ts";
import { readPolicy, type SecureBootPolicy } from "../sign/secure-boot-policy.ts";
import type { Rootfs } from "../tree/rootfs.ts";

/**
 * The policy of a firmware that has enrolled the keys of an image, and no others.
 * @returns null: it has none, or several sets of which any may be enrolled, or keys that firmware refuses
 * @throws SealError `input` when a file can't be read
 */
export async function ownPolicy(rootfs: Rootfs): Promise<SecureBootPolicy | null> {
  const [directory, second] = enrolledDirectories(rootfs);
  if (directory === undefined || second !== undefined) return null;
  const { updates, problems } = await readKeyDirectory(rootfs, directory);
  if (problems.some(({ severity }) => severity === "error")) return null;
  const enrolments: Enrolments = Object.fromEntries(
    SECURE_BOOT_VARIABLES.flatMap((name) => {
      const update = updates.get(name);
      if (update === undefined) return [];
      return [[name, { lists: joinSignatureLists([update.lists]), append: false, time: null }]];
    }),
  );
  try {
    return readPolicy(enroll({ variables: [], subject: directory }, enrolments), directory);
  } catch (error) {
    // Lint reports keys that no machine can use.
    if (error instanceof SealError) return null;
    throw error;
  }
}
