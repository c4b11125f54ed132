/**
 * `seal build-uki`: assembles a Unified Kernel Image from a kernel, initrds and a command line, as `ukify build` does.
 */
import { basename } from "node:path";
import { architectureProblem } from "../../boot/tree-uki.ts";
import { byteLength, type Chunks, piecesOf } from "../../chunks.ts";
import { SealError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import { OpenInputs } from "../../io/read-input.ts";
import { parsePe } from "../../pe/headers.ts";
import { firmwareAssumptions } from "../../pe/measure.ts";
import type { PcrPlan } from "../../pe/uki-pcrs.ts";
import type { UkiInputs } from "../../pe/uki-sections.ts";
import { assembleAndSign, type Signing, signProgram } from "../../seal/tree.ts";
import { spacedJson } from "../../text.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import type { VerbValues } from "../options/group.ts";
import { loadSigning } from "../options/signing.ts";
import { collectUkifyInputs, type ExtraInputs } from "./inputs.ts";
import { joinedPcrsig } from "./join-pcrsig.ts";
import { BUILD_UKI_ARGUMENTS, buildUkiOptions } from "./options.ts";
import { loadPcrPlan, type MeasureFormat, measureText } from "./pcrs.ts";
import { printUnsigned, type UkiSource } from "./print-unsigned.ts";
import { hashWhole, ukiReport, ukiSummary } from "./report.ts";

type Options = VerbValues<typeof BUILD_UKI_ARGUMENTS, typeof buildUkiOptions>;

export const buildUkiCommand = defineCommand({
  examples: [
    [
      "--linux vmlinuz --initrd initramfs.img --cmdline 'root=LABEL=root rw' --output linux.efi",
      "a UKI for this machine's architecture, with the installed systemd's stub",
    ],
    ["--linux vmlinuz --stub linuxaa64.efi.stub --os-release @rootfs/usr/lib/os-release", "for arm64, on any machine"],
    ["--linux vmlinuz --initrd initramfs.img --key db.key --cert db.crt", "signed, including the kernel inside"],
    ["--rootfs /target --output uki.efi", "from a root filesystem, with its composefs digest on the command line"],
    [
      "--from oci:image:latest --output uki.efi",
      "for an image signed elsewhere: sign the UKI, then run seal with-uki --uki uki.efi",
    ],
    ["--cmdline 'console=ttyS0' --output serial.addon.efi", "an addon: no kernel, only a command line"],
  ],
  arguments: BUILD_UKI_ARGUMENTS,
  options: buildUkiOptions,
  ukifyDefaultsUnless: ["rootfs", "from"],
  run: buildUkiVerb,
});

async function buildUkiVerb(context: Context, options: Options): Promise<0> {
  const { joinPcrsig, pcrsig } = options;
  if (joinPcrsig !== undefined && pcrsig !== undefined) return joinSignatures(context, options, { joinPcrsig, pcrsig });
  const open = new OpenInputs();
  try {
    return await buildAndWrite(context, options, open);
  } finally {
    open.close();
  }
}

async function buildAndWrite(context: Context, options: Options, open: OpenInputs): Promise<0> {
  const signing = await loadSigning(context, options, options.signKernel ?? null);
  const pcrs = await loadPcrPlan(context, options);
  // What is only copied need not be in memory. What is hashed, more than once and by several threads, is quicker there.
  const isCopied = signing === null && pcrs.plan.policies.length === 0 && !options.measure && options.json === false;
  const { inputs, source } = await collectInputs(context, options, signing, {
    pcrPublicKey: pcrs.publicKey,
    ...(isCopied ? { readInitrd: (path) => open.open(path) } : {}),
  });
  const output = options.output ?? defaultOutput(options, inputs);
  // ukify builds it anyway; from a root filesystem it has been refused already.
  const problem = architectureProblem(inputs.stub, inputs.kernel);
  if (problem !== null) context.ui.warn(`${problem}; the UKI will not start`);

  const { measuring, ...assembled } = await assembleAndSign(
    inputs,
    output,
    signing,
    pcrPlan(options, pcrs.plan, inputs),
  );
  // The disk takes it while it is hashed; its name it gets when nothing can be wrong any more.
  const isPrinted = options.printUnsigned !== undefined && source !== null;
  const writing = isPrinted ? null : writeOutput(userPath(context, output), written(assembled.pe.file, measuring));
  // Its error comes where it is waited for.
  writing?.catch(() => {});
  const hashing = options.json === true ? hashWhole(assembled.pe) : null;
  hashing?.catch(() => {});
  const uki = { ...assembled, measured: await measuring };
  for (const warning of uki.warnings) context.ui.warn(warning);
  if (options.measure && uki.measured === null) {
    context.ui.warn("--measure: a single profile has no PCR values; measure the UKI it is joined to");
  }
  const assumptions = options.measure ? firmwareAssumptions(uki.pe.sections) : [];
  for (const assumption of assumptions) context.ui.note(`PCR 11 assumes: ${assumption}`);
  if (options.printUnsigned !== undefined && source !== null) {
    return printUnsigned(context, options.printUnsigned, uki.pe, source);
  }
  await hashing;
  const [report] = await Promise.all([options.json === true ? ukiReport(uki, output) : null, writing]);
  context.ui.note(ukiSummary(uki));
  if (report !== null) printJson(context, report);
  else if (options.measure) printLine(context, measureText(uki.measured?.boots ?? [], measureFormat(options)));
  else if (options.policyDigest) printLine(context, spacedJson(uki.measured?.policies ?? {}));
  else printLine(context, output);
  return 0;
}

/** A file that is complete only if some work does not fail. */
async function* written(file: Chunks, work: Promise<unknown>): AsyncGenerator<Uint8Array, void> {
  yield* piecesOf(file, 0, byteLength(file));
  await work;
}

async function joinSignatures(
  context: Context,
  options: Options,
  files: { joinPcrsig: string; pcrsig: string },
): Promise<0> {
  const { output } = options;
  if (output === undefined) throw new SealError("usage", "--output: give one");
  const signing = await loadSigning(context, options, null);
  const pe = parsePe([await joinedPcrsig(context, files)], output);
  const signed = signing === null ? null : await signProgram(pe, signing);
  for (const warning of signed?.warnings ?? []) context.ui.warn(warning);
  await writeOutput(userPath(context, output), (signed?.pe ?? pe).file);
  printLine(context, output);
  return 0;
}

/** PCRs are predicted on request only; a report always has them if there is a kernel. */
function pcrPlan(options: Options, plan: PcrPlan, inputs: UkiInputs): PcrPlan | undefined {
  const asked = options.measure || plan.policies.length > 0;
  return asked || (options.json === true && inputs.kernel !== null) ? plan : undefined;
}

function measureFormat({ json }: Options): MeasureFormat {
  return json === "pretty" || json === "short" ? json : "text";
}

/** What the UKI is made of, and the root filesystem that it comes from; null in ukify's own mode. */
async function collectInputs(
  context: Context,
  options: Options,
  signing: Signing | null,
  how: Pick<ExtraInputs, "pcrPublicKey" | "readInitrd">,
): Promise<{ readonly inputs: UkiInputs; readonly source: UkiSource | null }> {
  const { from: image } = options;
  const source = image ?? options.rootfs;
  if (source !== undefined) {
    // Only here is a root filesystem read; ukify's own mode starts faster without.
    const { readTree } = await import("./rootfs-inputs.ts");
    const read = await readTree(context, options, { source, image, signing, pcrPublicKey: how.pcrPublicKey });
    for (const warning of read.warnings) context.ui.warn(warning);
    return { inputs: read.tree.inputs, source: read };
  }
  return { inputs: await collectUkifyInputs(context, options, how), source: null };
}

function defaultOutput(options: Options, inputs: UkiInputs): string {
  const name = options.linux === undefined ? inputs.kernel && inputs.uname : basename(options.linux);
  if (name === null) throw new SealError("usage", "--output: give one; an addon has no kernel to be named after");
  return `${name}${options.key === undefined ? ".unsigned" : ""}.efi`;
}
