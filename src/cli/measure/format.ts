/** `measure --reference --format`: the references in the form of a verifier. */
import { SealError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import { writeNewDirectory } from "../../io/new-directory.ts";
import { PCR_BANKS, type PcrBank } from "../../pe/pcr-events.ts";
import type { PcrReference, WayReference } from "../../sign/boot-reference.ts";
import type { SecureBootPolicy } from "../../sign/secure-boot-policy.ts";
import type { VerifierReference } from "../../verifiers/format.ts";
import { KEYLIME_BANK, keylimeReferenceState } from "../../verifiers/keylime.ts";
import { NITRO_TPM_BANK, nitroTpmMeasurements } from "../../verifiers/nitro-tpm.ts";
import { pcrlockComponents } from "../../verifiers/pcrlock.ts";
import { TRUSTEE_BANK, trusteeMessage } from "../../verifiers/trustee.ts";
import { type Context, userPath } from "../context.ts";
import { optionGroup } from "../options/group.ts";
import { choice, path } from "../options/option.ts";
import { writes } from "../options/risk.ts";

export const VERIFIER_FORMATS = ["pcrlock", "keylime", "trustee", "nitro-tpm"] as const;
export type VerifierFormat = (typeof VERIFIER_FORMATS)[number];

interface Form {
  /** The banks that references are needed in. */
  readonly banks: readonly PcrBank[];
  /** The registers that it is about. */
  readonly pcrs: readonly PcrReference["pcr"][];
  /** The options that change it. */
  readonly takes: readonly ("banks" | "phases")[];
  readonly write: (
    ways: readonly WayReference[],
    policy: SecureBootPolicy,
    tpmBanks: readonly PcrBank[],
  ) => VerifierReference;
}

const FORMS: Readonly<Record<VerifierFormat, Form>> = {
  pcrlock: {
    banks: PCR_BANKS,
    pcrs: [4, 7, 11],
    takes: ["banks"],
    write: (ways, _, tpmBanks) => pcrlockComponents(ways, tpmBanks),
  },
  keylime: { banks: [KEYLIME_BANK], pcrs: [4, 7, 11, 12], takes: [], write: keylimeReferenceState },
  trustee: { banks: [TRUSTEE_BANK], pcrs: [4, 7, 11, 12], takes: ["phases"], write: trusteeMessage },
  "nitro-tpm": { banks: [NITRO_TPM_BANK], pcrs: [4, 7, 12], takes: [], write: nitroTpmMeasurements },
};

export const formatOptions = optionGroup(null, {
  format: choice(VERIFIER_FORMATS, {
    placeholder: "verifier",
    help: `format for a verifier: ${VERIFIER_FORMATS.join(", ")}`,
    shownDefault: "seal's own JSON, with events and assumptions",
    requires: "reference",
    excludes: ["json", "eventLog"],
  }),
  output: path({
    risk: writes,
    help: "output file of --format, or a new directory for formats with several files",
    shownDefault: "standard output",
    requires: "format",
  }),
});

/** The banks to compute references in. @throws SealError `usage` for an option that the format has no place for */
export function formatBanks(
  format: VerifierFormat,
  given: { readonly banks?: readonly PcrBank[] | undefined; readonly phases: readonly unknown[] },
): readonly PcrBank[] {
  const { banks, takes } = FORMS[format];
  for (const [name, isGiven] of [
    ["banks", given.banks !== undefined],
    ["phases", given.phases.length > 0],
  ] as const) {
    if (isGiven && !takes.includes(name))
      throw new SealError("usage", `--${name}: cannot be combined with --format ${format}`);
  }
  return banks;
}

/** Writes the references, and says what they assume and leave out. */
export async function writeFormat(
  context: Context,
  format: VerifierFormat,
  references: readonly WayReference[],
  policy: SecureBootPolicy,
  {
    output,
    banks = PCR_BANKS,
  }: { readonly output?: string | undefined; readonly banks?: readonly PcrBank[] | undefined },
): Promise<void> {
  const { write, pcrs } = FORMS[format];
  const { output: written, omitted } = write(references, policy, banks);
  if (written.kind === "files") {
    if (output === undefined) {
      throw new SealError("usage", `--format ${format}: writes several files here; give a new directory as --output`);
    }
    const files = written.files.map(({ name, text }) => ({ name, bytes: Buffer.from(text), mode: 0o644 }));
    await writeNewDirectory(userPath(context, output), files, 0o755);
  } else if (output === undefined) {
    context.ui.clearProgress();
    context.process.stdout.write(written.text);
  } else {
    await writeOutput(userPath(context, output), [Buffer.from(written.text)]);
  }
  for (const line of assumptions(references, pcrs)) context.ui.note(line);
  for (const line of omitted) context.ui.note(`left out: ${line}`);
}

/** The ways to boot, and what must be so for their values to hold. */
function assumptions(ways: readonly WayReference[], pcrs: readonly number[]): Set<string> {
  const paths = ways.map(({ bootPath, profile, devicetree }) => {
    const programs = [...(bootPath.bootLoader === null ? [] : [bootPath.bootLoader]), bootPath.uki, ...bootPath.addons];
    const details = [
      ...(profile === 0 ? [] : [`profile ${profile}`]),
      ...(devicetree === null ? [] : [`device tree ${devicetree}`]),
    ];
    const which = details.length === 0 ? "" : ` (${details.join(", ")})`;
    return `boot path: ${programs.map(({ pe }) => pe.subject).join(", ")}${which}`;
  });
  const conditions = ways.flatMap((way) =>
    way.pcrs
      .filter(({ pcr }) => pcrs.includes(pcr))
      .flatMap(({ pcr, assumes }) => assumes.map((text) => `PCR ${pcr} assumes: ${text}`)),
  );
  return new Set([...paths, ...conditions]);
}
