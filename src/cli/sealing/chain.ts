/** What the verbs that do the whole chain read before the root filesystem, and the chain itself with it. */

import { chooseBootloader } from "../../seal/bootloader.ts";
import { checkProgramsEnrolled, checkSignerEnrolled } from "../../seal/enrolled.ts";
import { type SealedTree, type SealOptions, sealTree } from "../../seal/tree.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { loadPcrPlan } from "../build-uki/pcrs.ts";
import type { Context } from "../context.ts";
import type { chainOptions } from "../options/chain.ts";
import type { DigestOptions } from "../options/digest.ts";
import type { GroupValues } from "../options/group.ts";
import { collectLayout, type Layout } from "../options/layout.ts";
import { loadSigning } from "../options/signing.ts";

type ChainOptions = GroupValues<typeof chainOptions>;

/** Keys and files that the options name. */
export interface ChainInputs extends Pick<SealOptions, "signing" | "pcrs"> {
  readonly layout: Layout;
  /** Content of `.pcrpkey` without `--pcrpkey`; null: no such section. */
  readonly pcrPublicKey: Uint8Array | null;
}

/**
 * Wrong keys are found here, before half a gigabyte is read.
 * @throws SealError `usage`, `input` or `external` for what the options name and can't be had
 */
export async function loadChain(
  context: Context,
  options: Omit<ChainOptions, keyof DigestOptions | "digest">,
): Promise<ChainInputs> {
  const signing = await loadSigning(context, options, null);
  const { plan, publicKey } = await loadPcrPlan(context, options);
  const layout = await collectLayout(context, options);
  if (layout.enrolls !== null && signing !== null) checkSignerEnrolled(layout.enrolls, signing);
  return { signing, pcrs: plan.policies.length > 0 ? plan : undefined, layout, pcrPublicKey: publicKey };
}

/** Seals a root filesystem with what {@link loadChain} gave and a boot loader: the one of the options, of the tree or of this machine. */
export async function sealWith(
  context: Context,
  options: Pick<ChainOptions, "bootloader">,
  { signing, pcrs, layout }: ChainInputs,
  rootfs: Rootfs,
  uki: SealOptions["uki"],
): Promise<SealedTree> {
  const bootloader: SealOptions["bootloader"] = ({ arch }) =>
    chooseBootloader(context, options.bootloader, rootfs, arch);
  const sealed = await sealTree(rootfs, { uki, bootloader, signing, pcrs, layout });
  const { enrolls } = layout;
  if (enrolls !== null) checkProgramsEnrolled(enrolls, sealed.programs, context.host.now());
  return sealed;
}
