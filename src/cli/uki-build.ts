/** From collected inputs to a finished UKI, and what is reported about it. The same for every verb that makes one. */
import { z } from "zod";
import { type Chunks, toHex } from "../bytes.ts";
import { efiArchOfMachine, stubStartsKernel } from "../pe/arch.ts";
import { authentihash } from "../pe/authentihash.ts";
import { sha256Hex } from "../pe/digest.ts";
import { type PeImage, parsePe, sectionData } from "../pe/headers.ts";
import { assembleUki } from "../pe/uki.ts";
import { type UkiInputs, ukiSections } from "../pe/uki-sections.ts";
import type { Signer } from "../sign/signer.ts";
import type { Context } from "./context.ts";

/** A finished UKI, not yet written. */
export interface BuiltUki {
  readonly inputs: UkiInputs;
  readonly pe: PeImage;
}

/** Who signs a UKI and, first, the kernel in it. */
export interface UkiSigning {
  readonly signer: Signer;
  /** The time that the signatures tell; null for none. */
  readonly time: Date | null;
  /** Null: the kernel is signed unless it has a signature already, which is kept. */
  readonly kernel: boolean | null;
}

/**
 * Assembles a UKI and signs it.
 * @param name what the result is called in messages: the path that it will be written to
 * @throws SealError as {@link ukiSections}, {@link assembleUki} and signing do
 */
export async function buildUki(
  context: Context,
  collected: UkiInputs,
  name: string,
  signing: UkiSigning | null,
): Promise<BuiltUki> {
  const inputs =
    signing === null ? collected : { ...collected, kernel: await signedKernel(context, collected.kernel, signing) };
  const { sections, warnings } = ukiSections(inputs);
  for (const warning of warnings) context.ui.warn(warning);
  const file = assembleUki(inputs.stub, sections);
  return { inputs, pe: signing === null ? parsePe(file, name) : await signed(context, file, name, signing) };
}

/** Firmware checks the kernel too when an old stub starts it through LoadImage. */
async function signedKernel(context: Context, kernel: PeImage | null, signing: UkiSigning): Promise<PeImage | null> {
  const wanted = signing.kernel ?? kernel?.certificateTable === null;
  return kernel !== null && wanted ? signed(context, kernel.file, kernel.subject, signing) : kernel;
}

async function signed(context: Context, file: Chunks, name: string, { signer, time }: UkiSigning): Promise<PeImage> {
  const { signingWarnings, signPe } = await import("../sign/authenticode.ts");
  for (const warning of signingWarnings(parsePe(file, name))) context.ui.warn(warning);
  return parsePe(await signPe(file, name, signer, { append: true, signingTime: time }), name);
}

/** Why the stub can't start the kernel, in words; null when it can. */
export function architectureProblem({ stub, kernel }: UkiInputs): string | null {
  if (kernel === null || stubStartsKernel(stub.machine, kernel.machine)) return null;
  return `${kernel.subject} is a kernel for ${archName(kernel)}, the stub ${stub.subject} is for ${archName(stub)}`;
}

function archName({ machine }: PeImage): string {
  return efiArchOfMachine(machine) ?? `machine type 0x${machine.toString(16)}`;
}

/** One line about a UKI for people. */
export function ukiSummary({ inputs, pe }: BuiltUki): string {
  const version = inputs.uname === null ? [] : [`kernel ${inputs.uname}`];
  const signature = pe.certificateTable === null ? "unsigned" : "signed";
  const size = `${(pe.length / 1e6).toFixed(1)} MB`;
  return [pe.subject, size, `${pe.sections.length} sections`, ...version, signature].join(" · ");
}

/** The report of `--json`. Its shape is stable within a major version. */
export const ukiReportSchema = z.object({
  output: z.string(),
  kver: z.string().nullable(),
  cmdline: z.string().nullable(),
  sections: z.array(
    z.object({
      name: z.string(),
      virtualAddress: z.int(),
      virtualSize: z.int(),
      rawSize: z.int(),
      sha256: z.string(),
    }),
  ),
  sha256: z.string(),
  authenticode: z.object({ sha256: z.string() }),
  signed: z.boolean(),
});
export type UkiReport = z.infer<typeof ukiReportSchema>;

/** Hashes everything; only for `--json`. */
export function ukiReport({ inputs, pe }: BuiltUki, output: string): UkiReport {
  return ukiReportSchema.parse({
    output,
    kver: inputs.uname,
    cmdline: inputs.cmdline === null ? null : Buffer.from(inputs.cmdline).toString("utf8"),
    sections: pe.sections.map((section) => ({
      name: section.name,
      virtualAddress: section.virtualAddress,
      virtualSize: section.virtualSize,
      rawSize: section.rawSize,
      sha256: sha256Hex(sectionData(pe, section)),
    })),
    sha256: sha256Hex(pe.file),
    authenticode: { sha256: toHex(authentihash(pe, "sha256")) },
    signed: pe.certificateTable !== null,
  });
}
