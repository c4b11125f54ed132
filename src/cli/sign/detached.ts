/** The steps of `seal sign` with a key that is offline: export what it must sign, attach what it signed. */
import type { NamedBytes } from "../../bytes.ts";
import { SealError } from "../../errors.ts";
import { replaceFile, writeOutput } from "../../io/files.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { type PeImage, parsePe } from "../../pe/headers.ts";
import { signingWarnings } from "../../sign/authenticode.ts";
import { keyName, type ParsedCertificate } from "../../sign/certificate.ts";
import { attachRawSignature, attachSignature, exportRequest, exportToBeSigned } from "../../sign/detached.ts";
import { type Context, printLine, userPath } from "../context.ts";
import { readCertificates, readSignerCertificates, warnOfValidity } from "../options/signing.ts";
import type { DetachedStep } from "./detached-options.ts";

export interface DetachedOptions {
  readonly file: readonly string[];
  readonly output?: string | undefined;
  readonly append: boolean;
  /** What the signature says about when it was made; null leaves it out. */
  readonly time: Date | null;
  readonly cert?: string | undefined;
  readonly chain: readonly string[];
}

/** Does one step for one file. @throws SealError `usage` for several files or options that do not fit the step */
export async function signDetached(context: Context, step: DetachedStep, options: DetachedOptions): Promise<0> {
  const [file = "", ...others] = options.file;
  if (others.length > 0) {
    throw new SealError("usage", `--${step.kind}: requires a single file, not ${options.file.length}`);
  }
  const pe = parsePe([await readInput(userPath(context, file))], file);
  for (const warning of signingWarnings(pe)) context.ui.warn(warning);
  switch (step.kind) {
    case "export-tbs":
    case "export-request": {
      const exported = step.kind === "export-tbs" ? exportToBeSigned(pe, options.time) : exportRequest(pe);
      await writeOutput(userPath(context, step.to), [exported]);
      printLine(context, `${step.to}: what is to be signed for ${file}, ${exported.length} bytes`);
      return 0;
    }
    case "attach-signature": {
      const { certificate, chain } = await readSignerCertificates(context, options, "--attach-signature");
      const over =
        step.tbs === undefined ? { signingTime: options.time } : { attributes: await labelled(context, step.tbs) };
      const signature = await labelled(context, step.from);
      const input = { signature, over, certificate, chain, append: options.append };
      const signed = await attachRawSignature(pe, input);
      return finish(context, file, options.output, signed, certificate);
    }
    case "attach-pkcs7": {
      const [signer = null] = options.cert === undefined ? [] : await readCertificates(context, options.cert);
      const { append } = options;
      const attached = attachSignature(pe, await labelled(context, step.from), { append, signer });
      return finish(context, file, options.output, attached.pe, attached.certificate);
    }
  }
}

async function labelled(context: Context, path: string): Promise<NamedBytes> {
  return { bytes: await readInput(userPath(context, path), SMALL_FILE), subject: path };
}

async function finish(
  context: Context,
  file: string,
  output: string | undefined,
  signed: PeImage,
  certificate: ParsedCertificate,
): Promise<0> {
  if (output === undefined) await replaceFile(userPath(context, file), signed.file);
  else await writeOutput(userPath(context, output), signed.file);
  warnOfValidity(context, { certificate, chain: [] });
  const { subjectText } = certificate;
  printLine(context, `${output ?? file}: signed by ${subjectText} (${keyName(certificate)}), attached`);
  return 0;
}
