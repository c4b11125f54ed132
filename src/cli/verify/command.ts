/**
 * `seal verify`: checks Authenticode signatures, of files and directories, and says why one is refused; for an
 * image its attestations.
 */
import { z } from "zod";
import { type Chunks, firstBytes } from "../../chunks.ts";
import { inputError, SealError } from "../../errors.ts";
import { isDirectory } from "../../io/paths.ts";
import { withInput } from "../../io/read-input.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import { addressWarnings } from "../../pe/address-overlap.ts";
import { uncoveredRanges } from "../../pe/authentihash.ts";
import { readCertificateTable } from "../../pe/certtable.ts";
import { type PeImage, parsePe } from "../../pe/headers.ts";
import { PePass } from "../../pe/pe-pass.ts";
import { algorithmSeen, type PeVerdict, type SignatureVerdict, type Trust, verifyPePass } from "../../sign/verify.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { attestTrustOptions } from "../options/attest-trust.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { flag, path } from "../options/option.ts";
import { sbatLevelOption } from "../options/sbat-level.ts";
import { parseImage } from "../options/source.ts";
import { trustOptions } from "../options/trust.ts";
import { readJudge } from "./judge.ts";

const ARGUMENTS = {
  file: path({
    many: true,
    required: "give a file",
    help: "EFI programs; directories of them, such as /boot or an EFI system partition; or an image, oci:PATH[:TAG] or docker://REF",
  }),
};
/** Of programs they say what db and dbx hold, of an image also PCR 4 and 7. */
const FIRMWARE = { heading: "Firmware" };
const OPTIONS = trustOptions
  .and(
    optionGroup(null, {
      list: flag({
        help: "list the signatures of any signer; passes if there is one",
        excludes: Object.fromEntries(
          ["cert", "db", "dbx"].map((name) => [name, `only lists signers; cannot be combined with --${name}`]),
        ),
      }),
      json: flag({ help: "print the result as JSON" }),
    }),
  )
  .and(
    optionGroup("Firmware", { sbatLevel: sbatLevelOption }).with({
      sbatLevel: {
        help: "for a directory: minimum SBAT generations, lines like systemd-boot,2, as published by shim",
        shownDefault: "the newer of shim's and this machine's level",
      },
    }),
  )
  .and(attestTrustOptions.with({ keys: FIRMWARE, vars: FIRMWARE }));
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

/** One document for each file, in the order of the command line. */
export const verifyReportSchema = z.strictObject({
  file: z.string(),
  /** Whether firmware that trusts in this way would start the file. */
  valid: z.boolean(),
  /** Why the file as a whole is accepted or refused; only there when not its single signatures decide that. */
  reason: z.string().optional(),
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
    ["uki.efi --cert db.crt", "is there a valid signature by this certificate or one it issued?"],
    ["uki.efi --db db.esl --dbx dbx.esl", "would firmware with these variables boot it?"],
    ["uki.efi --list", "who signed it?"],
    ["/boot --db db.esl --dbx dbx.esl", "would firmware with these variables boot every program there?"],
    ["/efi", "the same with this machine's variables"],
    ["oci:sealed --attest-cert attest.pub", "are its attestations true, and who signed them?"],
    [
      "/boot/EFI/Linux/*.efi --cert db.crt --cert old.crt --json",
      "is each signed by one of two certificates? as JSON, for scripts",
    ],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: async (context, options) => {
    const image = namedImage(options.file);
    return image === null ? verifyPrograms(context, options) : verifyImage(context, image, options);
  },
});

/**
 * The image that is named in place of files; null: there is none.
 * @throws SealError `usage` for an image among other things
 */
function namedImage(names: readonly string[]): ImageSource | null {
  const name = names.find((one) => /^(?:oci|oci-archive|docker-archive|docker|containers-storage):/.test(one));
  if (name === undefined) return null;
  if (names.length > 1) throw new SealError("usage", `${name}: an image is verified alone; give no other files`);
  return parseImage(name, "verify");
}

async function verifyImage(context: Context, image: ImageSource, options: Options): Promise<0 | 1> {
  const { cert, db, dbx, list } = options;
  if (list || cert.length + db.length + dbx.length > 0) {
    throw new SealError(
      "usage",
      `${image.subject}: --cert, --db, --dbx and --list are for EFI programs; for an image, attestations are verified, with --attest-cert (seal lint --cert checks its programs)`,
    );
  }
  // What reads images is loaded for them only.
  const { verifyAttestations } = await import("../attest/verify.ts");
  return verifyAttestations(context, image, options);
}

async function verifyPrograms(context: Context, options: Options): Promise<0 | 1> {
  const { file: files, json, list } = options;
  if (options.attestCert.length > 0) {
    throw new SealError("usage", `--attest-cert: is for the attestations of an image, and ${files[0]} is not one`);
  }
  const directories = new Set(files.filter((file) => isDirectory(userPath(context, file))));
  const [directory] = directories;
  if (list && directory !== undefined) {
    throw new SealError("usage", `${directory}: is a directory; --list shows the signers of files, so name the files`);
  }
  const judge = list ? null : await readJudge(context, options, directory !== undefined);
  const trust = judge?.machine.trust ?? { certificates: [], now: context.process.now() };
  const step = context.ui.step("verifying");
  let allValid = true;
  for (const [index, file] of files.entries()) {
    const where = `${index + 1} of ${files.length}  ${file}`;
    step.update(where);
    if (judge !== null && directories.has(file)) {
      // What looks through directories is loaded for them only.
      const { verifyDirectory } = await import("./directory.ts");
      const onProgress = (detail: string) => step.update(`${where}  ${detail}`);
      allValid = (await verifyDirectory(context, file, judge, { json, onProgress })) && allValid;
    } else allValid = (await verifyFile(context, file, trust, options)) && allValid;
  }
  step.done();
  return allValid ? 0 : 1;
}

/** @returns whether it is good */
async function verifyFile(context: Context, file: string, trust: Trust, { json, list }: Options): Promise<boolean> {
  const { pe, report } = await withInput(userPath(context, file), async (bytes, passOver) => {
    checkNoDisk(bytes, file);
    const image = parsePe(bytes, file);
    const pass = new PePass(image, "verify");
    // Others may be asked for no hash at all, or for one that this pass does not compute.
    const isAsked = readCertificateTable(image).some((entry) => algorithmSeen(entry) === "sha256");
    if (isAsked) await passOver((piece, at) => pass.take(piece, at));
    return { pe: image, report: verifyPePass(pass, trust) };
  });
  for (const warning of addressWarnings(pe)) context.ui.warn(warning);
  if (report.signatures.length > 0) warnOfUncovered(context, pe);
  if (json) printJson(context, toJson(file, report));
  else printLine(context, list ? toList(file, report) : toText(context, file, report));
  return list ? report.signatures.length > 0 : report.valid;
}

/**
 * FAT: fatgen103, "Boot Sector and BPB", BS_FilSysType of FAT12, FAT16 and FAT32. GPT: UEFI specification 5.3.2, after
 * a block of 512 bytes.
 */
const DISK_MARKS = [
  [54, "FAT1"],
  [82, "FAT32"],
  [512, "EFI PART"],
] as const;

/** @throws SealError `input` for the image of a partition or a disk, which contains programs and is not one */
function checkNoDisk(file: Chunks, subject: string): void {
  const head = Buffer.from(firstBytes(file).subarray(0, 1024));
  if (head.toString("latin1", 0, 2) === "MZ") return;
  if (!DISK_MARKS.some(([at, mark]) => head.toString("latin1", at, at + mark.length) === mark)) return;
  throw inputError(
    subject,
    "is a disk or partition image, which seal does not read: mount it, or copy its files out (mcopy -s -i IMAGE :: DIR), and give the directory",
  );
}

/** Where a byte can change and all signatures stay good. The checksum is such a place in every file. */
function warnOfUncovered({ ui }: Context, pe: PeImage): void {
  if (pe.securityDirectoryOffset === null) return;
  const ranges = uncoveredRanges(pe);
  if (ranges.length === 0) return;
  const places = ranges.map(({ start, end }) => `${start} to ${end - 1}`).join(", ");
  ui.warn(`${pe.subject}: bytes ${places} are between its sections and not covered by any signature`);
}

function toJson(file: string, { valid, decision, signatures }: PeVerdict): z.infer<typeof verifyReportSchema> {
  return verifyReportSchema.parse({
    file,
    valid,
    ...(decision === null ? {} : { reason: decision }),
    signatures: signatures.map(({ subject, issuer, digestAlgorithm, outcome, reason }) => ({
      subject,
      issuer,
      digestAlgorithm,
      trusted: outcome === "trusted",
      reason,
    })),
  });
}

function toText(context: Context, file: string, { valid, decision, signatures }: PeVerdict): string {
  const { out } = context.ui;
  const mark = (good: boolean) => (good ? out.green("✓") : out.red("✗"));
  const verdictOfAll = decision ?? (valid ? "trusted" : signatures.length === 0 ? "not signed" : "not trusted");
  const head = `${mark(valid)} ${file}  ${verdictOfAll}`;
  const lines = signatures.flatMap((signature) => [
    `  ${mark(signature.outcome === "trusted")} ${describe(signature)}`,
    `    ${verdict(signature)}`,
    ...signature.notes.map((note) => `    ${out.dim(note)}`),
  ]);
  return [head, ...lines].join("\n");
}

/** Who signed, as far as that can be read; whether to trust it is not judged. */
function toList(file: string, { signatures }: PeVerdict): string {
  const lines = signatures.flatMap((signature) => [
    `  ${describe(signature)}`,
    `    ${signature.outcome === "invalid" ? verdict(signature) : `issued by ${signature.issuer}`}`,
  ]);
  return [`${file}  ${signatures.length === 0 ? "not signed" : "signed by"}`, ...lines].join("\n");
}

function describe({ subject, key, digestAlgorithm, signingTime }: SignatureVerdict): string {
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

function verdict({ outcome, reason, trustedBy }: SignatureVerdict): string {
  switch (outcome) {
    case "trusted":
      return `good, trusted by ${trustedBy}`;
    case "untrusted":
      return `good, but ${reason}`;
    case "revoked":
      return `revoked: ${reason}`;
    case "invalid":
      return `bad: ${reason}`;
  }
}
