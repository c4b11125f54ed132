/** Computes what a machine measures while it boots: one reference for each way to boot. */
import { SealError } from "../errors.ts";
import { measuredSets } from "../pe/measure.ts";
import { profileGroups, profileId } from "../pe/profiles.ts";
import {
  type BootPath,
  bootReference,
  type ReferenceOptions,
  type WayReference,
  withoutRefusedAddons,
} from "../sign/boot-reference.ts";

/**
 * The references of all ways to boot.
 * @returns the references, and why firmware would not start some of the programs, one line each
 * @throws SealError `check` when firmware would start none of them, `input` when something is corrupt
 */
export function bootReferences(
  paths: readonly BootPath[],
  options: ReferenceOptions,
): { references: readonly WayReference[]; refusals: readonly string[] } {
  const references: WayReference[] = [];
  const refusals: string[] = [];
  let first: SealError | null = null;
  for (const one of paths) {
    try {
      const { bootPath, refusals: ofAddons } = withoutRefusedAddons(one, options);
      refusals.push(...ofAddons);
      references.push(...waysToBoot(bootPath, options));
    } catch (error) {
      if (!(error instanceof SealError) || error.code !== "check") throw error;
      first ??= error;
      refusals.push(error.message);
    }
  }
  if (references.length === 0 && first !== null) throw first;
  return { references, refusals };
}

function waysToBoot(bootPath: BootPath, options: ReferenceOptions): WayReference[] {
  const { pe } = bootPath.uki;
  const groups = profileGroups(pe);
  return groups.flatMap((group, profile) => {
    const description = group.find(({ name }) => name === ".profile");
    const id = description === undefined ? null : profileId(description, pe.subject);
    return measuredSets(groups, profile).map((set) => ({
      bootPath,
      profile,
      profileId: id,
      devicetree: set.devicetree,
      ...bootReference(bootPath, set, options),
    }));
  });
}
