/** `seal keys esl FILE…`: signature lists of certificates and of the hashes of EFI programs. */
import { z } from "zod";
import { writeOutput } from "../../io/files.ts";
import { readInput } from "../../io/read-input.ts";
import { joinSignatureLists, signatureListsOf } from "../../sign/list-source.ts";
import { encodeSignatureLists, type SignatureList } from "../../sign/siglist.ts";
import { defineOldCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { guidOption } from "../options/guid.ts";
import { describeLists, drawEntries, entrySchema } from "./signature-lists.ts";
import { NO_OWNER } from "./trust-sources.ts";

const schema = z.object({
  file: z.array(z.string().min(1, "give a file")).min(1, "give a file"),
  output: z.string("give a file to write").min(1, "is empty"),
  owner: guidOption.default(NO_OWNER),
  byHash: z.boolean().default(false),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof schema>;

export const keysEslCommand = defineOldCommand<Options>({
  examples: [
    ["db.crt --owner $(cat keys/GUID.txt) --output db.esl", "a certificate, for db"],
    ["old.efi older.efi --output dbx.esl", "the hashes of two EFI programs, for dbx"],
    ["stolen.crt --by-hash --output dbx.esl", "a certificate by its hash, for dbx: takes 48 bytes instead of 1000"],
  ],
  arguments: [{ name: "<file...>", description: "certificates (PEM, DER), EFI programs, signature lists, .auth" }],
  options: [
    { flags: "-o, --output <file>", description: "write here", complete: "file" },
    { flags: "--owner <guid>", description: "owner of the entries", default: NO_OWNER },
    { flags: "--by-hash", description: "certificates by their SHA-256 hash; only dbx may hold these" },
    { flags: "--json", description: "print what was written as JSON" },
  ],
  schema,
  run: writeLists,
});

/** Its shape is stable within a major version. */
export const keysEslReport = z.strictObject({ output: z.string(), entries: z.array(entrySchema) });

async function writeLists(context: Context, options: Options): Promise<0> {
  const { file: files, owner, byHash, output } = options;
  const lists: SignatureList[][] = [];
  for (const file of files) {
    const bytes = await readInput(userPath(context, file));
    lists.push(signatureListsOf(bytes, file, { owner, certificatesByHash: byHash }));
  }
  const joined = joinSignatureLists(lists.flat());
  await writeOutput(userPath(context, output), [encodeSignatureLists(joined)]);
  const entries = describeLists(joined, output);
  if (options.json) printJson(context, keysEslReport.parse({ output, entries }));
  else printLine(context, `${output}\n${drawEntries(entries)}`);
  return 0;
}
