/** The options of the verbs that do the whole chain: digest, UKI, boot layout, signatures. */
import { z } from "zod";
import { longName, type OptionSpec } from "../command.ts";
import { LAYOUT_OPTIONS, layoutFields } from "./layout.ts";
import { SIGNING_OPTIONS, signingShape } from "./signing.ts";
import { UKI_OPTIONS, ukiFields } from "./uki.ts";
import { UKI_ROOTFS_OPTIONS, ukiRootfsFields } from "./uki-rootfs.ts";

/** What the root filesystem itself answers here, instead of an option or in place of an option's other default. */
const ANSWERED = ["rootfs", "linux"];
/** What only build-uki prints. */
const PRINTED = ["measure", "no-measure", "policy-digest", "no-policy-digest"];
const LEFT_OUT = new Set([...ANSWERED, ...PRINTED]);
const DEFAULTS: Readonly<Record<string, string>> = {
  "os-release": "the root filesystem's",
  uname: "the name of the kernel's directory",
  stub: "the root filesystem's, else this machine's",
  "efi-arch": "that of the kernel",
};

export const CHAIN_OPTIONS: readonly OptionSpec[] = [
  ...[...UKI_ROOTFS_OPTIONS, ...UKI_OPTIONS]
    .filter((option) => !LEFT_OUT.has(longName(option)))
    .map((option) => ({
      ...option,
      ...(longName(option) in DEFAULTS ? { default: DEFAULTS[longName(option)] ?? "" } : {}),
    })),
  ...LAYOUT_OPTIONS,
  ...SIGNING_OPTIONS,
];

/** Fields of {@link CHAIN_OPTIONS} for a verb's schema. */
export const chainFields = { ...ukiFields, ...ukiRootfsFields, ...layoutFields, ...signingShape };

const schema = z.object(chainFields);
export type ChainOptions = z.infer<typeof schema>;
