/** PCR 11 of all profiles of a UKI that is being built, and the `.pcrsig` section that each gets. */
import { utf8 } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { DEFAULT_PHASE_PATHS, type MeasuredSet, measuredSets, type PcrPrediction, predictPcr11 } from "./measure.ts";
import type { PcrBank } from "./pcr-events.ts";
import { combinePolicies, type PolicyKey, type PolicySignatures, pcrsigText, policyEntries } from "./pcr-policy.ts";
import { profileId } from "./profiles.ts";
import type { UkiSection } from "./uki-sections.ts";

/** Policies that one key signs. */
export interface PolicyPlan {
  readonly key: PolicyKey;
  /** Empty: the default ones. */
  readonly phases: readonly string[];
  /** Empty: none. */
  readonly reference: string;
}

/** Which values of PCR 11 are predicted, and which policies are signed for them. */
export interface PcrPlan {
  readonly banks: readonly PcrBank[];
  /** Phase paths of the predictions; empty: the default ones. */
  readonly phases: readonly string[];
  readonly policies: readonly PolicyPlan[];
  /** IDs of the profiles that this is for; empty: all. */
  readonly profiles: readonly string[];
}

/** Predictions for one way to boot. */
export type MeasuredBoot = Pick<MeasuredSet, "profile" | "devicetree"> & {
  readonly predictions: readonly PcrPrediction[];
};

/** A UKI with the predicted values of PCR 11. */
export interface MeasuredUki {
  /** The sections, with `.pcrsig` after each profile that was signed. */
  readonly groups: readonly (readonly UkiSection[])[];
  readonly boots: readonly MeasuredBoot[];
  /** Of all profiles together. */
  readonly policies: PolicySignatures;
}

/**
 * Predicts PCR 11 for each profile and makes the policies.
 * @param groups sections of the base and of each further profile
 * @param subject the UKI, for messages
 * @throws SealError `usage` when there is no kernel to measure, `input` for a profile that is not text
 */
export async function measureGroups(
  groups: readonly (readonly UkiSection[])[],
  plan: PcrPlan,
  subject: string,
): Promise<MeasuredUki> {
  const result: UkiSection[][] = [];
  const boots: MeasuredBoot[] = [];
  const all: PolicySignatures[] = [];
  for (const [profile, group] of groups.entries()) {
    const sections = [...group];
    result.push(sections);
    if (!isWanted(group, plan, subject)) continue;
    const parts: PolicySignatures[] = [];
    for (const set of measuredSets(groups, profile)) {
      boots.push({ profile, devicetree: set.devicetree, predictions: predict(set, plan, plan.phases) });
      for (const policy of plan.policies) {
        parts.push(await policyEntries(predict(set, plan, policy.phases), policy.key, policy.reference));
      }
    }
    if (plan.policies.length === 0) continue;
    const combined = combinePolicies(parts);
    sections.push({ name: ".pcrsig", content: [utf8(pcrsigText(combined))] });
    all.push(combined);
  }
  return { groups: result, boots, policies: combinePolicies(all) };
}

function predict({ sections }: MeasuredSet, { banks }: PcrPlan, phases: readonly string[]): PcrPrediction[] {
  if (!sections.some(({ name }) => name === ".linux")) {
    throw new SealError("usage", "--linux: give a kernel; PCR 11 is predicted for UKIs, not for addons");
  }
  return predictPcr11(sections, banks, phases.length > 0 ? phases : DEFAULT_PHASE_PATHS);
}

function isWanted(group: readonly UkiSection[], { profiles }: PcrPlan, subject: string): boolean {
  if (profiles.length === 0) return true;
  const description = group.find(({ name }) => name === ".profile");
  const id = description === undefined ? null : profileId(description, subject);
  return id !== null && profiles.includes(id);
}
