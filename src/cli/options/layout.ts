/** The options that shape the final `/boot`, the same in all verbs that write one. */
import { basename } from "node:path";
import { z } from "zod";
import type { BootAddon } from "../../boot/addons.ts";
import { ENROLL_MODES } from "../../boot/entries.ts";
import type { BootInput } from "../../boot/plan.ts";
import { readInput } from "../../io/read-input.ts";
import { parsePe } from "../../pe/headers.ts";
import { type EnrollKeys, enrollFiles } from "../../sign/enroll-keys.ts";
import type { OptionSpec } from "../command.ts";
import { type Context, userPath } from "../context.ts";
import { readEnrollDirectory } from "../keys/enroll-directory.ts";

const GROUP = "Boot layout";

export const LAYOUT_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--bootloader <file>",
    description: "systemd-boot",
    default: "the root filesystem's, else this machine's",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--addon <file...>",
    description: "NAME.addon.efi that adds to the command line or brings device trees or microcode; repeatable",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--global-addon <file...>",
    description: "the same for every UKI that the machine has, also later ones; repeatable",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--entry-token <word>",
    description: "comes before the kernel's version in the name of each UKI",
    group: GROUP,
  },
  {
    flags: "--enroll-keys <dir>",
    description: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth) that systemd-boot enrols",
    group: GROUP,
    complete: "directory",
  },
  {
    flags: "--secure-boot-enroll <mode>",
    description: "when systemd-boot enrols them: if-safe (only in virtual machines), manual, force, off",
    default: "if-safe, with --enroll-keys",
    group: GROUP,
    complete: ENROLL_MODES,
  },
  {
    flags: "--menu-timeout <seconds>",
    description: "how long the boot menu is shown",
    aliases: ["--timeout"],
    default: "it is not shown",
    group: GROUP,
  },
];

/** Fields of {@link LAYOUT_OPTIONS} for a verb's schema. */
export const layoutFields = {
  bootloader: z.string().min(1, "give a path").optional(),
  addon: z.array(z.string().min(1, "give a path")).default([]),
  globalAddon: z.array(z.string().min(1, "give a path")).default([]),
  entryToken: z.string().min(1, "give a word").optional(),
  enrollKeys: z.string().min(1, "give a directory").optional(),
  secureBootEnroll: z.enum(ENROLL_MODES).optional(),
  menuTimeout: z
    .string()
    .regex(/^\d{1,5}$/, "give seconds, a whole number")
    .transform(Number)
    .optional(),
};

const schema = z.object(layoutFields);
type LayoutOptions = z.infer<typeof schema>;

/** What the options say about a layout; the addons are not signed yet. */
export type Layout = Pick<BootInput, "entryToken" | "enrollKeys" | "loader"> & {
  readonly addons: readonly BootAddon[];
  /** What `enrollKeys` are; null when no keys are enrolled. */
  readonly enrolls: EnrollKeys | null;
};

/**
 * Reads what the options name.
 * @throws SealError `input` when keys or addons can't be read
 */
export async function collectLayout(context: Context, options: LayoutOptions): Promise<Layout> {
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
