/** The options that name the keys of a firmware, and what they make of its variables. */
import { join } from "node:path";
import { z } from "zod";
import { inputError } from "../../errors.ts";
import { SECURE_BOOT_VARIABLES, type SecureBootVariable } from "../../sign/authvar.ts";
import type { Enrolment } from "../../sign/enroll.ts";
import { enrollFileName } from "../../sign/enroll-keys.ts";
import { joinSignatureLists } from "../../sign/list-source.ts";
import { MICROSOFT_OWNER, microsoftVariable } from "../../sign/microsoft.ts";
import { certificateList, type SignatureList } from "../../sign/siglist.ts";
import type { OptionSpec } from "../command.ts";
import type { Context } from "../context.ts";
import { guidOption } from "../options/guid.ts";
import { readCertificates } from "../options/signing.ts";
import { readEnrollDirectory } from "./enroll-directory.ts";
import { type KeyFile, NO_OWNER, readKeyFiles, readVariableSource } from "./trust-sources.ts";

const WHAT = "certificates, signature lists or .auth";

/** @param group heading on the help page */
export function enrolmentOptions(group?: string): OptionSpec[] {
  const options: OptionSpec[] = [
    {
      flags: "--keys <dir>",
      description: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth)",
      aliases: ["--enroll"],
      complete: "directory",
    },
    { flags: "--pk <file...>", description: `platform key: ${WHAT}`, complete: "file" },
    { flags: "--kek <file...>", description: `key exchange keys: ${WHAT}; repeatable`, complete: "file" },
    { flags: "--db <file...>", description: `what may start: ${WHAT}, EFI programs; repeatable`, complete: "file" },
    { flags: "--dbx <file...>", description: "what may not, the same; repeatable", complete: "file" },
    {
      flags: "--microsoft <file...>",
      description: "Microsoft's certificates, put into KEK and db, where they belong; repeatable",
      complete: "file",
    },
    { flags: "--append", description: "keep what KEK, db and dbx hold" },
    {
      flags: "--owner <guid>",
      description: "owner of entries that certificates and programs become",
      default: NO_OWNER,
    },
  ];
  return options.map((option) => (group === undefined ? option : { ...option, group }));
}

const files = z.array(z.string().min(1, "give a file")).default([]);

/** Fields of {@link enrolmentOptions} for a verb's schema. */
export const enrolmentFields = {
  keys: z.string().min(1, "give a directory").optional(),
  pk: files,
  kek: files,
  db: files,
  dbx: files,
  microsoft: files,
  append: z.boolean().default(false),
  owner: guidOption.default(NO_OWNER),
};

const schema = z.object(enrolmentFields);
export type EnrolmentOptions = z.infer<typeof schema>;

/**
 * What is to become of each variable; those that nothing was given for are left out.
 * @throws SealError `input` when a file is not what its option wants
 */
export async function readEnrolments(
  context: Context,
  options: EnrolmentOptions,
): Promise<Partial<Record<SecureBootVariable, Enrolment>>> {
  const sources = await sourceFiles(context, options);
  const microsoft = await readMicrosoft(context, options.microsoft);
  const enrolments: Partial<Record<SecureBootVariable, Enrolment>> = {};
  for (const name of SECURE_BOOT_VARIABLES) {
    const further = microsoft.get(name) ?? [];
    if (sources[name].length === 0 && further.length === 0) continue;
    const { lists, append, time } = readVariableSource(name, sources[name], options.owner);
    // A machine has one platform key.
    const keep = name !== "PK" && (append || options.append);
    enrolments[name] = { lists: joinSignatureLists([...lists, ...further]), append: keep, time };
  }
  return enrolments;
}

/** The files of the options, those of the directory first. */
async function sourceFiles(
  context: Context,
  options: EnrolmentOptions,
): Promise<Record<SecureBootVariable, readonly KeyFile[]>> {
  const { keys, pk, kek, db, dbx } = options;
  const updates = keys === undefined ? null : await directoryFiles(context, keys);
  const filesOf = async (name: SecureBootVariable, given: readonly string[]) => [
    ...(updates?.get(name) ?? []),
    ...(await readKeyFiles(context, given)),
  ];
  return {
    PK: await filesOf("PK", pk),
    KEK: await filesOf("KEK", kek),
    db: await filesOf("db", db),
    dbx: await filesOf("dbx", dbx),
  };
}

/** The signed updates in a directory that `seal keys generate` made, or one like it. @throws SealError as {@link readEnrollDirectory} */
export async function directoryFiles(
  context: Context,
  directory: string,
): Promise<ReadonlyMap<SecureBootVariable, readonly KeyFile[]>> {
  const { files } = await readEnrollDirectory(context, directory);
  return new Map([...files].map(([name, bytes]) => [name, [{ file: join(directory, enrollFileName(name)), bytes }]]));
}

async function readMicrosoft(
  context: Context,
  paths: readonly string[],
): Promise<ReadonlyMap<SecureBootVariable, readonly SignatureList[]>> {
  const lists = new Map<SecureBootVariable, SignatureList[]>();
  for (const path of paths) {
    for (const certificate of await readCertificates(context, path)) {
      const variable = microsoftVariable(certificate.der);
      if (variable === null) {
        throw inputError(
          path,
          `${certificate.subjectText} is no certificate of Microsoft that seal knows; give it with --db or --kek`,
        );
      }
      lists.set(variable, [...(lists.get(variable) ?? []), certificateList(MICROSOFT_OWNER, certificate.der)]);
    }
  }
  return lists;
}
