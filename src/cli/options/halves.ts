/**
 * The options of both halves of a seal that is signed elsewhere: what they put into `/usr`, which
 * is part of the digest.
 */
import { readInput } from "../../io/read-input.ts";
import { type PeImage, parsePe } from "../../pe/headers.ts";
import { type Context, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { path } from "./option.ts";

export const halvesOptions = optionGroup(null, {
  signedBootloader: path({
    many: true,
    help: "signed copy of the image's systemd-boot, placed in /usr for bootc install; give build-uki --from and with-uki the same file; repeatable, one for each architecture",
  }),
});

/** With the keys to enrol, which the second half has among the options of the boot layout. */
export type HalvesValues = GroupValues<typeof halvesOptions> & { readonly enrollKeys?: string | undefined };

/** The files of `--signed-bootloader`. @throws SealError `input` when one can't be read or is not a PE file */
export async function readSignedBootloaders(
  context: Context,
  { signedBootloader }: Pick<HalvesValues, "signedBootloader">,
): Promise<readonly PeImage[]> {
  return Promise.all(signedBootloader.map(async (file) => parsePe([await readInput(userPath(context, file))], file)));
}
