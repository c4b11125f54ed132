/** The options for measured boot: which values PCR 11 is predicted for, and which keys sign them. */
import { z } from "zod";
import { BOOT_PHASES } from "../../pe/measure.ts";
import { PCR_BANKS, type PcrBank } from "../../pe/pcr-events.ts";
import type { OptionSpec } from "../command.ts";

export const PCR_GROUP = "Measured boot, as in ukify";

export const PCR_OPTIONS: readonly OptionSpec[] = [
  { flags: "--measure", description: "print the PCR 11 values that the UKI will produce", group: PCR_GROUP },
  { flags: "--no-measure", description: "don't", hidden: true },
  {
    flags: "--pcr-banks <banks>",
    description: "banks of the TPM, separated by commas",
    group: PCR_GROUP,
    default: PCR_BANKS.join(","),
  },
  {
    flags: "--phases <paths...>",
    description: "phase paths (enter-initrd:leave-initrd), separated by commas; repeatable, once per key",
    group: PCR_GROUP,
    default: "enter-initrd, then also leave-initrd, sysinit, ready",
  },
  {
    flags: "--pcr-private-key <file...>",
    description: "RSA key that signs PCR policies (.pcrsig); repeatable",
    group: PCR_GROUP,
    complete: "file",
  },
  {
    flags: "--pcr-public-key <file...>",
    description: "its public key; repeatable",
    group: PCR_GROUP,
    complete: "file",
  },
  {
    flags: "--pcr-certificate <file...>",
    description: "a certificate instead of the public key; repeatable",
    group: PCR_GROUP,
    complete: "file",
  },
  {
    flags: "--policyref <text...>",
    description: "reference that a policy is bound to; repeatable, once per key",
    group: PCR_GROUP,
  },
  {
    flags: "--policy-digest",
    description: "print the policies that are to be signed elsewhere, and leave room for the signatures",
    group: PCR_GROUP,
  },
  { flags: "--no-policy-digest", description: "don't", hidden: true },
  {
    flags: "--sign-profile <id...>",
    description: "only for the profile of this ID; repeatable",
    group: PCR_GROUP,
    default: "all profiles",
  },
  {
    flags: "--sign-initrd-pcrs",
    description: "also sign a policy that holds in the initrd only, with the first key",
    group: PCR_GROUP,
  },
  { flags: "--no-sign-initrd-pcrs", description: "don't", hidden: true },
];

const file = z.string().min(1, "give a file");

/** `sha1,sha256`, in any order, once each. */
export const banksField = z
  .string()
  .transform(splitList)
  .pipe(z.array(z.enum(PCR_BANKS, `give banks of ${PCR_BANKS.join(", ")}`)))
  .transform((banks): readonly PcrBank[] => (banks.length === 0 ? PCR_BANKS : banks))
  .default(PCR_BANKS);

const phasePaths = z
  .string()
  .transform(splitList)
  .pipe(z.array(z.string().refine(isPhasePath, phaseProblem())).min(1, phaseProblem()));

/** Lists of phase paths, one for each time that the option was given. */
export const phasesField = z.array(phasePaths).default([]);

/** One for each key; null, which only a configuration can say, is what a key has none of. */
const perKey = <Value>(one: z.ZodType<Value>) => z.array(one.nullable()).default([]);

/** Fields of {@link PCR_OPTIONS} for a verb's schema. */
export const pcrFields = {
  measure: z.boolean().default(false),
  pcrBanks: banksField,
  phases: perKey(phasePaths),
  pcrPrivateKey: z.array(file).default([]),
  pcrPublicKey: perKey(file),
  pcrCertificate: perKey(file),
  policyref: perKey(z.string()),
  policyDigest: z.boolean().default(false),
  signProfile: z.array(z.string()).default([]),
  signInitrdPcrs: z.boolean().default(false),
};

const schema = z.object(pcrFields);
export type PcrOptions = z.infer<typeof schema>;

/** One comma may end the list; another empty entry is wrong for what comes next. */
function splitList(text: string): string[] {
  const trimmed = text.trim().replace(/,$/, "").trimEnd();
  return trimmed === "" ? [] : trimmed.split(/\s*,\s*|\s+/);
}

function isPhasePath(path: string): boolean {
  const phases: readonly string[] = BOOT_PHASES;
  return path.split(":").every((phase) => phases.includes(phase));
}

function phaseProblem(): string {
  return `give phase paths of ${BOOT_PHASES.join(", ")}, joined by colons`;
}
