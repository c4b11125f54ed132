/** `seal inspect`: shows what a container image, a PE file, an EROFS image or a composefs dump file holds. */
import { toHex } from "../../bytes.ts";
import { concat, firstBytes } from "../../chunks.ts";
import { inputError } from "../../errors.ts";
import { isDirectory } from "../../io/paths.ts";
import { withInput } from "../../io/read-input.ts";
import { refuseReference } from "../../io/rootfs.ts";
import { addressWarnings } from "../../pe/address-overlap.ts";
import { listedImageHashes } from "../../pe/authentihash.ts";
import { type PeImage, parsePe, sectionData } from "../../pe/headers.ts";
import { sectionNames, sectionsNamed } from "../../pe/long-names.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { htmlOptions, writePage } from "../options/html.ts";
import { flag, path, text } from "../options/option.ts";
import { platformOptions } from "../options/platform.ts";
import { registryOptions } from "../options/registry.ts";
import { parseImage } from "../options/source.ts";
import { drawPe } from "./pe-picture.ts";
import { describePe } from "./pe-report.ts";

const ARGUMENTS = {
  file: path({
    required: "give a file",
    help: "PE file, EROFS image, composefs dump file, or container image: oci:PATH[:TAG], docker://REF, …",
  }),
};

const ONLY_BYTES = "writes raw bytes; cannot be combined with --json or --authenticode-hash";
const NO_PAGE = "prints a hash; cannot be combined with --html";
const OPTIONS = optionGroup(null, {
  json: flag({ help: "print everything as JSON" }),
  section: text({
    placeholder: "name",
    problem: "give the name of a section",
    help: "write this section of a PE file to standard output",
    excludes: { json: ONLY_BYTES, authenticodeHash: ONLY_BYTES },
  }),
  authenticodeHash: flag({ help: "print the SHA-256 Authenticode hash of a PE file" }),
})
  .and(htmlOptions.with({ html: { excludes: { section: ONLY_BYTES, authenticodeHash: NO_PAGE } } }))
  .and(platformOptions)
  .and(registryOptions);
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

export const inspectCommand = defineCommand({
  examples: [
    ["linux.efi", "sections, command line, os-release, signatures and hashes of a UKI"],
    ["linux.efi --section .cmdline", "the contents of one section"],
    ["linux.efi --authenticode-hash", "the hash that a signature of the file covers"],
    ["root.erofs --json", "header, digest and statistics of a composefs image"],
    ["oci:sealed", "a container image: platforms, layers, sealed or not, its UKI and its signer"],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: async (context, options) => {
    if (IMAGE.test(options.file)) {
      await showImage(context, options);
      return 0;
    }
    refuseReference(options.file, userPath(context, options.file));
    if (isDirectory(userPath(context, options.file))) throw inputError(options.file, DIRECTORY);
    await withInput(userPath(context, options.file), async (file) => {
      if (isPe(firstBytes(file))) {
        await inspectPe(context, parsePe(file, options.file), options);
        return;
      }
      const bytes = concat(file);
      const kernel = await compressedKernel(context, bytes, options.file);
      if (kernel !== null) await inspectPe(context, parsePe([kernel], options.file), options);
      else await inspectTree(context, bytes, options);
    });
    return 0;
  },
});

const DIRECTORY = "is a directory; give a file or an image. seal report and seal lint read root filesystems";
const NEITHER =
  "is not a PE file, EROFS image or composefs dump file; seal keys show reads keys, certificates, signature lists and variable stores";

/** A file of such a name has a path before it: `./oci:x`. */
const IMAGE = /^(?:oci|oci-archive|docker-archive|docker|docker-daemon|containers-storage):/;

async function showImage(context: Context, options: Options): Promise<void> {
  if (options.section !== undefined || options.authenticodeHash) {
    throw inputError(options.file, "is not a PE file, so it has no sections or Authenticode hash");
  }
  const { inspectImage } = await import("./image-report.ts");
  const { drawImage } = await import("./image-picture.ts");
  const report = await inspectImage(context, parseImage(options.file, "file"), options);
  await writePage(context, options, async () => [(await import("../html/image.ts")).imagePage(report)]);
  if (options.json) printJson(context, report);
  else printLine(context, drawImage(report, context.ui.out, context.process.stdout.columns));
}

/** The kernel in a file that is compressed as a whole, as some architectures have it; null: there is none. */
async function compressedKernel(context: Context, bytes: Uint8Array, file: string): Promise<Uint8Array | null> {
  const { decompressKernel } = await import("../../pe/decompress.ts");
  const unpacked = decompressKernel(bytes, file);
  if (unpacked === bytes || !isPe(unpacked)) return null;
  context.ui.note(`${file} is compressed; size and hashes are those of the kernel inside`);
  return unpacked;
}

function isPe(bytes: Uint8Array): boolean {
  return bytes[0] === 0x4d && bytes[1] === 0x5a;
}

async function inspectPe(context: Context, pe: PeImage, options: Options): Promise<void> {
  for (const warning of addressWarnings(pe)) context.ui.warn(warning);
  if (options.section !== undefined) {
    writeSection(context, pe, options.section);
  } else if (options.authenticodeHash) {
    const [unpadded = new Uint8Array(), padded = unpadded] = listedImageHashes(pe, "sha256");
    printLine(context, toHex(padded));
    if (padded !== unpadded) {
      context.ui.note(
        `its length is not a multiple of 8: firmware hashes an unsigned file without padding and computes ${toHex(unpadded)}`,
      );
    }
  } else {
    const report = await describePe(pe, options.file, context.process.now());
    await writePage(context, options, async () => [(await import("../html/program.ts")).inspectedProgram(report)]);
    if (options.json) printJson(context, report);
    else printLine(context, drawPe(report, context.ui.out, context.process.stdout.columns));
  }
}

async function inspectTree(context: Context, bytes: Uint8Array, options: Options): Promise<void> {
  const { describeDumpfile, describeErofs, drawTree, isDumpfile, isErofs } = await import("./tree-report.ts");
  const describe = isErofs(bytes) ? describeErofs : isDumpfile(bytes) ? describeDumpfile : null;
  if (describe === null) throw inputError(options.file, NEITHER);
  if (options.section !== undefined || options.authenticodeHash) {
    throw inputError(options.file, "is not a PE file, so it has no sections or Authenticode hash");
  }
  const report = describe(bytes, options.file);
  await writePage(context, options, async () => [(await import("../html/tree.ts")).treePage(report)]);
  if (options.json) printJson(context, report);
  else printLine(context, drawTree(report, context.ui.out, context.process.stdout.columns));
}

function writeSection(context: Context, pe: PeImage, name: string): void {
  const found = sectionsNamed(pe, name);
  const [first] = found;
  if (first === undefined) {
    const names = [...new Set(sectionNames(pe))].join(" ");
    throw inputError(pe.subject, `has no section ${name}, only ${names}`);
  }
  if (found.length > 1) context.ui.warn(`${pe.subject} has ${found.length} sections ${name}; the first is written`);
  for (const chunk of sectionData(pe, first)) context.process.stdout.write(chunk);
}
