/** `seal sign FILE…`: signs EFI programs with Authenticode, in place or to another file. */
import { SealError } from "../../errors.ts";
import { replaceFile, writeOutput } from "../../io/files.ts";
import { sourceDate } from "../../io/process-port.ts";
import { withInput } from "../../io/read-input.ts";
import { parsePe } from "../../pe/headers.ts";
import { type SignOptions, signingWarnings, signPieces } from "../../sign/authenticode.ts";
import { keyName } from "../../sign/certificate.ts";
import type { Signer } from "../../sign/signer.ts";
import { defineCommand } from "../command.ts";
import { type Context, printLine, userPath } from "../context.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { choice, flag, path, value } from "../options/option.ts";
import { writes } from "../options/risk.ts";
import { loadSigner, signingOptions } from "../options/signing.ts";
import { timeOrNowSchema } from "../options/time.ts";
import { signDetached } from "./detached.ts";
import { detachedOptions, detachedStep } from "./detached-options.ts";

const ARGUMENTS = {
  file: path({ many: true, required: "give a file", help: "EFI programs: UKIs, boot loaders, kernels" }),
};
const OPTIONS = signingOptions
  .and(
    optionGroup(null, {
      output: path({
        risk: writes,
        short: "o",
        help: "file to write",
        shownDefault: "in place",
        excludes: { exportTbs: "--export-tbs signs nothing", exportRequest: "--export-request signs nothing" },
      }),
      append: flag({ help: "keep existing signatures" }),
      signingTime: value(timeOrNowSchema, {
        placeholder: "time",
        help: "signing time: 2026-01-02T03:04:05Z, or now",
        shownDefault: "SOURCE_DATE_EPOCH, or none",
      }),
      digestAlgorithm: choice(["sha256"], {
        placeholder: "name",
        default: "sha256",
        problem: "all firmware accepts sha256 only",
        help: "hash algorithm of the file and the signature",
      }),
    }),
  )
  .and(detachedOptions);
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

export const signCommand = defineCommand({
  examples: [
    ["uki.efi --key db.key --cert db.crt", "sign in place, replacing existing signatures"],
    ["systemd-bootx64.efi --key db.p12 --passphrase-file pass --output BOOTX64.EFI", "sign to another file"],
    ["uki.efi --signer ./kms-sign --cert db.crt", "sign with a program that holds the key, such as a cloud KMS"],
    ["uki.efi --export-tbs uki.tbs", "what an offline key must sign, for --attach-signature"],
    ["uki.efi --attach-signature uki.sig --cert db.crt", "attach a raw signature made elsewhere"],
    ["uki.efi --key new.key --cert new.crt --append", "add a second signature, for a key rollover"],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: signFiles,
});

async function signFiles(context: Context, options: Options): Promise<0> {
  const { file: files, output } = options;
  const detached = detachedStep(options);
  if (detached !== null) return signDetached(context, detached, { ...options, time: signingTime(context, options) });
  if (output !== undefined && files.length > 1) {
    throw new SealError("usage", `--output: requires a single file, not ${files.length}`);
  }
  const signer = await loadSigner(context, options);
  const signOptions: SignOptions = { append: options.append, signingTime: signingTime(context, options) };
  const { certificate } = signer;
  // Said at once, so that it is clear which files are signed should a later one fail.
  for (const file of files) {
    const step = context.ui.step(`signing ${file}`);
    await signFile(context, file, output, signer, signOptions);
    step.done();
    const by = `${certificate.subjectText} (${keyName(certificate)}, SHA-256)`;
    printLine(context, `${output ?? file}: signed by ${by}`);
  }
  return 0;
}

async function signFile(
  context: Context,
  file: string,
  output: string | undefined,
  signer: Signer,
  options: SignOptions,
): Promise<void> {
  const path = userPath(context, file);
  await withInput(path, async (bytes) => {
    const pe = parsePe(bytes, file);
    for (const warning of signingWarnings(pe)) context.ui.warn(warning);
    const signed = signPieces(pe, signer, options);
    if (output === undefined) await replaceFile(path, signed);
    else await writeOutput(userPath(context, output), signed);
  });
}

function signingTime(context: Context, { signingTime: given }: Options): Date | null {
  if (given === undefined) return sourceDate(context.process.env);
  return given === "now" ? context.process.now() : new Date(given);
}
