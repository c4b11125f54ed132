/** The kernel command lines in a tree: in its UKIs and their addons, or before sealing in kargs.d. */
import { cmdlinesOf } from "../boot/addons.ts";
import { type CmdlineArgument, parseCmdline } from "../boot/cmdline.ts";
import { readKargs } from "../boot/kargs.ts";
import { isRead } from "./boot-programs.ts";
import type { LintContext } from "./context.ts";

/** An argument and the file it is in. */
export interface PlacedArgument extends CmdlineArgument {
  readonly path: string;
}

/**
 * All arguments that the kernel of this tree gets or will get.
 * @throws SealError `input` when kargs.d is unreadable before sealing
 */
export async function allArguments(context: LintContext): Promise<PlacedArgument[]> {
  const sources = context.sealed
    ? [...(await context.ukis()), ...(await context.addons())]
        .filter(isRead)
        .map(({ path, pe }) => ({ path, texts: cmdlinesOf(pe) }))
    : (await readKargs(context.rootfs)).map(({ path, kargs }) => ({ path, texts: kargs }));
  return sources.flatMap(({ path, texts }) => texts.flatMap(parseCmdline).map((argument) => ({ ...argument, path })));
}
