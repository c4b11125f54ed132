/** `seal boot-layout`: writes the final `/boot`: UKIs, the boot loader twice, its configuration, and keys to enrol. */
import { basename } from "node:path";
import { z } from "zod";
import { type BootPlan, planBoot } from "../boot/plan.ts";
import { byteLength } from "../chunks.ts";
import { SealError } from "../errors.ts";
import { replaceDirectory } from "../io/new-directory.ts";
import { readInput } from "../io/read-input.ts";
import { efiArchOfMachine } from "../pe/arch.ts";
import { sha256Hex } from "../pe/digest.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { findBootloader } from "../seal/bootloader.ts";
import { checkProgramsEnrolled } from "../seal/enrolled.ts";
import { checkSigned } from "../seal/signed-programs.ts";
import { type SignedProgram, signAddons, signProgram } from "../seal/tree.ts";
import type { Trust } from "../sign/verify.ts";
import { defineCommand } from "./command.ts";
import { type Context, printJson, printLine, userPath } from "./context.ts";
import { type GroupValues, optionGroup } from "./options/group.ts";
import { collectLayout, layoutOptions, readBootloader } from "./options/layout.ts";
import { flag, path } from "./options/option.ts";
import { writes } from "./options/risk.ts";
import { loadSigning, readCertificates, signingOptions } from "./options/signing.ts";
import { formatBytes, renderTable } from "./terminal/report.ts";

const OPTIONS = optionGroup(null, {
  uki: path({ many: true, required: "give a UKI", problem: "give a path", help: "a UKI; repeatable" }),
  rootfs: path({
    complete: "directory",
    help: "root filesystem from which to take systemd-boot",
    shownDefault: "this machine's",
  }),
})
  .and(layoutOptions)
  .and(signingOptions)
  .and(
    optionGroup(null, {
      output: path({
        risk: writes,
        short: "o",
        complete: "directory",
        required: "give the directory to write",
        help: "the directory to write; an existing one is replaced if it contains no other files",
      }),
      json: flag({ help: "print the list of files as JSON" }),
    }),
  );
type Options = GroupValues<typeof OPTIONS>;

export const bootLayoutCommand = defineCommand({
  examples: [
    [
      "--uki 6.12.107.efi --rootfs /target --key db.key --cert db.crt --output /out/boot",
      "signs the UKI and the boot loader",
    ],
    [
      "--uki a.efi --rootfs /target --cert db.crt --output boot",
      "refuses programs not already signed by that certificate",
    ],
    [
      "--uki a.efi --addon console.addon.efi --key db.key --cert db.crt --output boot",
      "with an addon that extends its command line",
    ],
    ["--uki a.efi --uki b.efi --bootloader systemd-bootx64.efi --output boot", "two kernels, unsigned"],
    [
      "--uki a.efi --enroll-keys keys --secure-boot-enroll if-safe --output boot",
      "enrols PK, KEK and db in setup mode",
    ],
  ],
  arguments: {},
  options: OPTIONS,
  run: bootLayout,
});

/** Its shape is stable within a major version. */
export const bootLayoutReportSchema = z.object({
  output: z.string(),
  arch: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      size: z.int(),
      sha256: z.string(),
      signed: z.enum(["already", "now", "no"]).nullable(),
    }),
  ),
});

async function bootLayout(context: Context, options: Options): Promise<0> {
  const trusted = await readTrusted(context, options);
  const signing = trusted === null ? await loadSigning(context, options, null) : null;
  const ukis: PeImage[] = [];
  for (const file of options.uki) ukis.push(parsePe([await readInput(userPath(context, file))], file));
  const bootloader = await signProgram(await chooseBootloader(context, options, ukis), signing);
  const signedUkis: SignedProgram[] = [];
  for (const uki of ukis) signedUkis.push(await signProgram(uki, signing));
  const layout = await collectLayout(context, options);
  const addons = await signAddons(layout.addons, signing);
  const programs = [bootloader, ...signedUkis, ...addons];
  if (trusted !== null) for (const { pe } of programs) checkSigned(pe, trusted);
  if (layout.enrolls !== null) {
    const images = programs.map(({ pe }) => pe);
    checkProgramsEnrolled(layout.enrolls, images, context.process.now());
  }
  for (const warning of programs.flatMap(({ warnings }) => warnings)) context.ui.warn(warning);

  const plan = planBoot({
    ...layout,
    ukis: signedUkis.map(({ pe }) => ({ pe, fileName: basename(pe.subject) })),
    bootloader: bootloader.pe,
    addons: addons.map(({ addon }) => addon),
  });
  for (const warning of plan.warnings) context.ui.warn(warning);
  const files = plan.files.map((file) => ({ name: file.path, bytes: file.content, mode: 0o644 }));
  await replaceDirectory(userPath(context, options.output), files, 0o755);
  report(context, options, plan, programs);
  return 0;
}

/** Who must have signed everything already: a certificate without a key. Null: no particular signer. */
async function readTrusted(context: Context, { key, signer, cert }: Options): Promise<Trust | null> {
  if (cert === undefined || key !== undefined || signer !== undefined) return null;
  return { certificates: await readCertificates(context, cert), now: context.process.now() };
}

async function chooseBootloader(context: Context, options: Options, ukis: readonly PeImage[]): Promise<PeImage> {
  const { rootfs } = options;
  const given = await readBootloader(context, options);
  if (given !== null) return given;
  const arch = ukis[0] === undefined ? null : efiArchOfMachine(ukis[0].machine);
  if (arch === null)
    throw new SealError("usage", "--bootloader: required, since UEFI has no name for the UKI's architecture");
  return findBootloader([...(rootfs === undefined ? [] : [userPath(context, rootfs)]), "/"], arch);
}

function report(context: Context, options: Options, plan: BootPlan, programs: readonly SignedProgram[]): void {
  const files = plan.files.map(({ path, content }) => ({
    path,
    size: byteLength(content),
    sha256: sha256Hex(content),
    signed: programs.find(({ pe }) => pe.file === content)?.signed ?? null,
  }));
  if (options.json) {
    printJson(context, bootLayoutReportSchema.parse({ output: options.output, arch: plan.arch, files }));
    return;
  }
  const words = { already: "signed", now: "signed now", no: "unsigned" };
  const rows = files.map((file) => [file.path, formatBytes(file.size), file.signed === null ? "" : words[file.signed]]);
  context.ui.block(renderTable(rows, context.process.stderr.columns));
  printLine(context, options.output);
}
