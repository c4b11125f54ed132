/** The options that shape the final `/boot`, the same in all verbs that write one. */
import { basename } from "node:path";
import type { BootAddon } from "../../boot/addons.ts";
import { ENROLL_MODES } from "../../boot/entries.ts";
import type { BootInput } from "../../boot/plan.ts";
import { readInput } from "../../io/read-input.ts";
import { type PeImage, parsePe } from "../../pe/headers.ts";
import { type EnrollKeys, enrollFiles } from "../../sign/enroll-keys.ts";
import { type Context, userPath } from "../context.ts";
import { readEnrollDirectory } from "../keys/enroll-directory.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { choice, count, flag, path, text } from "./option.ts";

export const layoutOptions = optionGroup("Boot layout", {
  bootloader: path({ help: "systemd-boot", shownDefault: "the root filesystem's, else this machine's" }),
  addon: path({
    many: true,
    help: "NAME.addon.efi that extends the command line or adds device trees or microcode; repeatable",
  }),
  globalAddon: path({
    many: true,
    help: "addon for every UKI on the machine, including later ones; repeatable",
  }),
  entryToken: text({
    placeholder: "word",
    problem: "give a word",
    help: "prefix for the name of each UKI, before the kernel version",
  }),
  enrollKeys: path({
    complete: "directory",
    help: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth) that systemd-boot enrols",
  }),
  secureBootEnroll: choice(ENROLL_MODES, {
    placeholder: "mode",
    help: "when systemd-boot enrols these keys: if-safe (virtual machines only), manual, force, off",
    shownDefault: "if-safe, with --enroll-keys",
  }),
  menuTimeout: count({
    min: 0,
    max: 99_999,
    of: "seconds",
    placeholder: "seconds",
    aliases: ["--timeout"],
    help: "how long to show the boot menu",
    shownDefault: "not shown",
  }),
});

/** Of the verbs that have read the root filesystem whose `/boot` they make. */
export const dumpOptions = optionGroup("Boot layout", {
  shipDump: flag({
    help: "write NAME.dump, a composefs dump file, next to the UKI: if bootc refuses the digest, it prints what differs",
  }),
});

type LayoutOptions = GroupValues<typeof layoutOptions>;

/** What the options say about a layout; the addons are not signed yet. */
export type BootLayout = Pick<BootInput, "entryToken" | "enrollKeys" | "loader"> & {
  readonly addons: readonly BootAddon[];
  /** What `enrollKeys` are; null when no keys are enrolled. */
  readonly enrolls: EnrollKeys | null;
};

/**
 * Reads what the options name.
 * @throws SealError `input` when keys or addons can't be read
 */
export async function collectLayout(context: Context, options: LayoutOptions): Promise<BootLayout> {
  const enrolls = options.enrollKeys === undefined ? null : await readEnrollDirectory(context, options.enrollKeys);
  const enrollKeys = enrolls === null ? null : enrollFiles(enrolls);
  const enroll = options.secureBootEnroll ?? (enrolls === null ? null : "if-safe");
  const addons: BootAddon[] = [];
  for (const [scope, files] of [
    ["uki", options.addon],
    ["global", options.globalAddon],
  ] as const) {
    for (const file of files) {
      addons.push({ pe: parsePe([await readInput(userPath(context, file))], file), fileName: basename(file), scope });
    }
  }
  const loader = { timeout: options.menuTimeout ?? null, enroll };
  return { entryToken: options.entryToken ?? null, enrollKeys, enrolls, loader, addons };
}

/**
 * The boot loader that `--bootloader` names; null without.
 * @throws SealError `input` when it can't be read or is not a PE file
 */
export async function readBootloader(
  context: Context,
  { bootloader }: Pick<LayoutOptions, "bootloader">,
): Promise<PeImage | null> {
  return bootloader === undefined ? null : parsePe([await readInput(userPath(context, bootloader))], bootloader);
}
