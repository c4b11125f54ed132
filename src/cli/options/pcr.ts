/** The options for measured boot: which values PCR 11 is predicted for, and which keys sign them. */
import { z } from "zod";
import { BOOT_PHASES, DEFAULT_PHASE_PATHS } from "../../pe/measure.ts";
import { PCR_BANKS, type PcrBank } from "../../pe/pcr-events.ts";
import type { Option } from "./declaration.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { flag, path, some, splitList, text, value } from "./option.ts";

export const PCR_GROUP = "Measured boot, as in ukify";

/** What is the same of all options with banks: `sha1,sha256`, in any order. */
const BANKS = {
  problem: `give banks of ${PCR_BANKS.join(", ")}`,
  placeholder: "banks",
  help: "TPM banks, comma-separated",
} as const;

/** Banks for verbs that have others by default than {@link pcrOptions}. */
export const banksOption = (shownDefault: string): Option<readonly PcrBank[] | undefined> =>
  some(PCR_BANKS, { ...BANKS, aliases: ["--pcr-banks"], shownDefault });

/** `enter-initrd:leave-initrd,enter-initrd`. */
export const phasePaths = () =>
  z
    .string()
    .transform(splitList)
    .pipe(z.array(z.string().refine(isPhasePath, phaseProblem())).min(1, phaseProblem()));

/** {@link DEFAULT_PHASE_PATHS}, each of which goes on where the one before it ends. */
export const DEFAULT_PHASES_SHOWN =
  DEFAULT_PHASE_PATHS.at(-1)?.replace(":", ", then also ").replaceAll(":", ", ") ?? "";

/** Of lists with one item for each key; null, which only a configuration can give, is a key without an item. */
const file = () => z.string().min(1, "give a file").nullable();

export const pcrOptions = optionGroup(PCR_GROUP, {
  measure: flag({ no: "hidden", help: "print the PCR 11 values that this UKI produces" }),
  pcrBanks: some(PCR_BANKS, { ...BANKS, default: PCR_BANKS.join(",") }),
  phases: value(() => phasePaths().nullable(), {
    many: true,
    placeholder: "paths",
    help: "boot phase paths (enter-initrd:leave-initrd), comma-separated; repeatable, once per key",
    shownDefault: DEFAULT_PHASES_SHOWN,
  }),
  pcrPrivateKey: path({ many: true, help: "RSA key that signs PCR policies (.pcrsig); repeatable" }),
  pcrPublicKey: value(file, {
    many: true,
    placeholder: "file",
    complete: "file",
    help: "its public key; repeatable",
  }),
  pcrCertificate: value(file, {
    many: true,
    placeholder: "file",
    complete: "file",
    help: "certificate in place of the public key; repeatable",
    excludes: { pcrPublicKey: "replaces --pcr-public-key; give only one" },
  }),
  policyref: value(() => z.string().nullable(), {
    many: true,
    placeholder: "text",
    help: "policy reference (policyRef) to bind the policy to; repeatable, once per key",
    requires: "pcrPrivateKey",
  }),
  policyDigest: flag({
    no: "hidden",
    help: "print the policies to be signed elsewhere, and reserve room for the signatures",
    excludes: {
      measure: "cannot be combined with --measure; run seal measure on the result",
      pcrPrivateKey: "is for keys held elsewhere; cannot be combined with --pcr-private-key",
    },
  }),
  signProfile: text({
    many: true,
    placeholder: "id",
    help: "sign only for the profile with this ID; repeatable",
    shownDefault: "all profiles",
  }),
  signInitrdPcrs: flag({
    no: "hidden",
    help: "also sign an initrd-only policy, with the first key",
    requires: { anyOf: ["pcrPrivateKey", "policyDigest"] },
  }),
});

/** Of the flags, only what a verb may have. */
export type PcrOptions = Omit<GroupValues<typeof pcrOptions>, "measure" | "policyDigest"> & {
  readonly policyDigest?: boolean;
};

function isPhasePath(path: string): boolean {
  const phases: readonly string[] = BOOT_PHASES;
  return path.split(":").every((phase) => phases.includes(phase));
}

function phaseProblem(): string {
  return `give phase paths of ${BOOT_PHASES.join(", ")}, joined by colons`;
}
