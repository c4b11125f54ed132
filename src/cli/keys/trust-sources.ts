/** Reading what verbs are given as keys of firmware: certificates, signature lists, signed updates, EFI programs. */
import type { NamedBytes } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import { readInput } from "../../io/read-input.ts";
import { parseVariableUpdate, type SecureBootVariable } from "../../sign/authvar.ts";
import { databaseOf, unreadableEntry } from "../../sign/database.ts";
import { calendarNote, compareTimes, type EfiTime } from "../../sign/efi-time.ts";
import { keyFileKind } from "../../sign/file-kind.ts";
import { type Guid, knownGuid } from "../../sign/guid.ts";
import { joinSignatureLists, signatureListsOf } from "../../sign/list-source.ts";
import type { SignatureList } from "../../sign/siglist.ts";
import { identifyUpdate } from "../../sign/update-signature.ts";
import { type Context, userPath } from "../context.ts";

/** Firmware ignores owners; other tools write this one too by default. */
export const NO_OWNER = knownGuid("00000000-0000-0000-0000-000000000000");

/** Reads files that options name. @throws SealError `input` */
export function readKeyFiles(context: Context, files: readonly string[]): Promise<NamedBytes[]> {
  return Promise.all(files.map(async (file) => ({ subject: file, bytes: await readInput(userPath(context, file)) })));
}

/** What files say about a variable. */
export interface VariableSource {
  readonly lists: readonly SignatureList[];
  /** Whether one of them is a signed update that adds to the variable. */
  readonly append: boolean;
  /** Of the newest signed update; null without any. */
  readonly time: EfiTime | null;
  /** What firmware skips, or accepts although it is odd, one line each. */
  readonly warnings: readonly string[];
}

/**
 * What is to become of a variable by these files. A signed update must be one of this variable, by its signature.
 * @throws SealError `input` when a file holds something else
 */
export function readVariableSource(
  variable: SecureBootVariable,
  files: readonly NamedBytes[],
  owner: Guid,
): VariableSource {
  const lists: SignatureList[][] = [];
  let append = false;
  let time: EfiTime | null = null;
  const warnings: string[] = [];
  for (const { subject, bytes } of files) {
    const content = keyFileKind(bytes);
    if (content.kind === "update") {
      const update = parseVariableUpdate(content.bytes, subject);
      const { purpose, problem } = identifyUpdate(update, subject);
      if (purpose === null) throw inputError(subject, `its signature is invalid: ${problem}`);
      if (purpose.variable !== variable)
        throw inputError(subject, `is an update of ${purpose.variable}, not of ${variable}`);
      append ||= purpose.write === "append";
      if (time === null || compareTimes(update.time, time) > 0) time = update.time;
      const note = calendarNote(update.time);
      if (note !== null) warnings.push(`${subject}: ${note}`);
    }
    const own = signatureListsOf(bytes, subject, { owner, certificatesByHash: false });
    warnings.push(...databaseOf(own, subject).unreadable.map((problem) => unreadableEntry(subject, problem)));
    lists.push(own);
  }
  return { lists: joinSignatureLists(lists), append, time, warnings };
}
