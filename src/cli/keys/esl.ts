/** `seal keys esl FILE…`: signature lists of certificates and of the hashes of EFI programs. */
import { z } from "zod";
import { writeOutput } from "../../io/files.ts";
import { joinSignatureLists, signatureListsOf, twoHashesNote } from "../../sign/list-source.ts";
import { encodeSignatureLists, type SignatureList } from "../../sign/siglist.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { guid } from "../options/guid.ts";
import { flag, path, value } from "../options/option.ts";
import { writes } from "../options/risk.ts";
import { describeLists, drawEntries, entryReportSchema } from "./signature-lists.ts";
import { NO_OWNER, readKeyFiles } from "./trust-sources.ts";

const ARGUMENTS = {
  file: path({
    many: true,
    required: "give a file",
    help: "certificates (PEM, DER), EFI programs, signature lists, .auth",
  }),
};
const OPTIONS = optionGroup(null, {
  output: path({
    risk: writes,
    short: "o",
    required: "give a file to write",
    problem: "is empty",
    help: "file to write",
  }),
  owner: value(guid, { placeholder: "guid", default: NO_OWNER, help: "owner GUID of the entries" }),
  byHash: flag({ help: "enter certificates as SHA-256 hashes; for dbx only" }),
  json: flag({ help: "print what was written as JSON" }),
});
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

export const keysEslCommand = defineCommand({
  examples: [
    ["db.crt --owner $(cat keys/GUID.txt) --output db.esl", "a certificate, for db"],
    ["old.efi older.efi --output dbx.esl", "the hashes of two EFI programs, for dbx"],
    ["stolen.crt --by-hash --output dbx.esl", "a certificate by its hash, for dbx: 48 bytes instead of 1000"],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: writeLists,
});

/** Its shape is stable within a major version. */
export const keysEslReportSchema = z.strictObject({ output: z.string(), entries: z.array(entryReportSchema) });

async function writeLists(context: Context, options: Options): Promise<0> {
  const { file, owner, byHash, output } = options;
  const lists: SignatureList[][] = [];
  for (const { subject, bytes } of await readKeyFiles(context, file)) {
    lists.push(signatureListsOf(bytes, subject, { owner, certificatesByHash: byHash }));
    const note = twoHashesNote(bytes, subject);
    if (note !== null) context.ui.note(note);
  }
  const joined = joinSignatureLists(lists);
  await writeOutput(userPath(context, output), [encodeSignatureLists(joined)]);
  const entries = describeLists(joined, output);
  if (options.json) printJson(context, keysEslReportSchema.parse({ output, entries }));
  else printLine(context, `${output}\n${drawEntries(entries, context.process.stdout.columns)}`);
  return 0;
}
