/** `seal verify FILE…`: checks Authenticode signatures and says why one is refused. */
import { z } from "zod";
import { readInput } from "../../io/files.ts";
import { parseCertificate } from "../../sign/certificate.ts";
import { type PeReport, type SignatureReport, type Trust, verifyPe } from "../../sign/verify.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { readCertificates } from "../options/signing.ts";

const schema = z.object({
  file: z.array(z.string().min(1, "give a file")).min(1, "give a file"),
  cert: z.array(z.string().min(1, "give a file")).default([]),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof schema>;

/** One document for each file, in the order of the command line. */
export const verifyJson = z.strictObject({
  file: z.string(),
  /** Whether at least one signature is good and by a trusted signer. */
  valid: z.boolean(),
  signatures: z.array(
    z.strictObject({
      subject: z.string(),
      issuer: z.string(),
      digestAlgorithm: z.string(),
      trusted: z.boolean(),
      reason: z.string().nullable(),
    }),
  ),
});

export const verifyCommand = defineCommand({
  examples: [
    ["uki.efi --cert db.crt", "is there a good signature by this certificate, or by one it issued?"],
    ["/boot/EFI/Linux/*.efi --cert db.crt --cert old.crt --json", "the same for scripts"],
  ],
  arguments: [{ name: "<file...>", description: "EFI programs: UKIs, boot loaders, kernels" }],
  options: [
    {
      flags: "--cert <file...>",
      description: "trusted certificates of signers or issuers, PEM or DER; repeatable",
      complete: "file",
    },
    { flags: "--json", description: "print the result as JSON" },
  ],
  schema,
  run: verifyFiles,
});

async function verifyFiles(context: Context, { file: files, cert, json }: Options): Promise<0 | 1> {
  const certificates = (await Promise.all(cert.map((path) => readCertificates(context, path)))).flat();
  const trust: Trust = { certificates: certificates.map(parseCertificate), now: context.host.now() };
  const step = context.ui.step("verifying");
  let allValid = true;
  for (const [index, file] of files.entries()) {
    step.update(`${index + 1} of ${files.length}  ${file}`);
    const report = verifyPe([await readInput(userPath(context, file))], file, trust);
    allValid &&= report.valid;
    if (json) printJson(context, toJson(file, report));
    else printLine(context, toText(context, file, report));
  }
  step.done();
  return allValid ? 0 : 1;
}

function toJson(file: string, { valid, signatures }: PeReport): z.infer<typeof verifyJson> {
  return verifyJson.parse({
    file,
    valid,
    signatures: signatures.map(({ subject, issuer, digestAlgorithm, outcome, reason }) => ({
      subject,
      issuer,
      digestAlgorithm,
      trusted: outcome === "trusted",
      reason,
    })),
  });
}

function toText(context: Context, file: string, { valid, signatures }: PeReport): string {
  const { out } = context.ui;
  const mark = (good: boolean) => (good ? out.green("✓") : out.red("✗"));
  const head = `${mark(valid)} ${file}  ${valid ? "trusted" : signatures.length === 0 ? "not signed" : "not trusted"}`;
  const lines = signatures.flatMap((signature) => [
    `  ${mark(signature.outcome === "trusted")} ${describe(signature)}`,
    `    ${verdict(signature)}`,
    ...signature.notes.map((note) => `    ${out.dim(note)}`),
  ]);
  return [head, ...lines].join("\n");
}

function describe({ subject, key, digestAlgorithm, signingTime }: SignatureReport): string {
  if (subject === "") return "a signature";
  const parts = [subject, key, digestAlgorithm.replace("sha", "SHA-")];
  if (signingTime !== null)
    parts.push(
      signingTime
        .toISOString()
        .replace("T", " ")
        .replace(/\.\d+Z$/, " UTC"),
    );
  return parts.join(" · ");
}

function verdict({ outcome, reason, trustedBy }: SignatureReport): string {
  switch (outcome) {
    case "trusted":
      return `good, trusted by ${trustedBy}`;
    case "untrusted":
      return `good, but ${reason}`;
    case "invalid":
      return `bad: ${reason}`;
  }
}
