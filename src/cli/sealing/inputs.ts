/** What the verbs that seal read before the root filesystem: keys, programs and texts that the options name. */
import type { SealOptions } from "../../seal/options.ts";
import { loadPcrPlan } from "../build-uki/pcrs.ts";
import { treeUkiInputs } from "../build-uki/rootfs-inputs.ts";
import type { Context } from "../context.ts";
import type { DigestValues } from "../options/digest.ts";
import type { GroupValues } from "../options/group.ts";
import { collectLayout, readBootloader } from "../options/layout.ts";
import type { sealingOptions } from "../options/sealing.ts";
import { loadSigning } from "../options/signing.ts";

type ChainOptions = Omit<GroupValues<typeof sealingOptions>, keyof DigestValues | "digest">;

/**
 * Wrong keys and files are found here, before half a gigabyte is read.
 * @throws SealError `usage`, `input` or `external` for what the options name and can't be had
 */
export async function loadSealOptions(context: Context, options: ChainOptions): Promise<Omit<SealOptions, "plan">> {
  const signing = await loadSigning(context, options, null);
  const { plan: pcrs, publicKey: pcrPublicKey } = await loadPcrPlan(context, options);
  const { enrolls, ...layout } = await collectLayout(context, options);
  return {
    signing,
    pcrs: pcrs.policies.length > 0 ? pcrs : undefined,
    layout,
    enrolled: enrolls === null ? null : { keys: enrolls, now: context.process.now() },
    now: context.process.now(),
    bootloader: await readBootloader(context, options),
    uki: await treeUkiInputs(context, options, { pcrPublicKey }),
    allowMissingVerity: options.allowMissingVerity,
    shipDump: options.shipDump,
  };
}
