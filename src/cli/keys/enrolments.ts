/** The options that name the keys of a firmware, and what they make of its variables. */
import { join } from "node:path";
import type { NamedBytes } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import { SECURE_BOOT_VARIABLES, type SecureBootVariable } from "../../sign/authvar.ts";
import type { Enrolment } from "../../sign/enroll.ts";
import { enrollFileName } from "../../sign/enroll-keys.ts";
import { joinSignatureLists } from "../../sign/list-source.ts";
import { MICROSOFT_OWNER, microsoftVariable } from "../../sign/microsoft.ts";
import { certificateList, type SignatureList } from "../../sign/siglist.ts";
import type { Context } from "../context.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { guid } from "../options/guid.ts";
import { flag, path, value } from "../options/option.ts";
import { readCertificates } from "../options/signing.ts";
import { readEnrollDirectory } from "./enroll-directory.ts";
import { NO_OWNER, readKeyFiles, readVariableSource } from "./trust-sources.ts";

const WHAT = "certificates, signature lists or .auth";

export const enrolmentOptions = optionGroup(null, {
  keys: path({
    complete: "directory",
    aliases: ["--enroll"],
    help: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth)",
  }),
  pk: path({ many: true, help: `platform key: ${WHAT}` }),
  kek: path({ many: true, help: `key exchange keys: ${WHAT}; repeatable` }),
  db: path({ many: true, help: `allowed to boot: ${WHAT}, EFI programs; repeatable` }),
  dbx: path({ many: true, help: "revoked: the same kinds of files as for --db; repeatable" }),
  microsoft: path({
    many: true,
    help: "Microsoft certificates, each added to KEK, db or PK as appropriate; repeatable",
  }),
  append: flag({ help: "keep the existing entries of KEK, db and dbx" }),
  owner: value(guid, {
    placeholder: "guid",
    default: NO_OWNER,
    help: "owner GUID of entries created from certificates and programs",
  }),
});

export type EnrolmentOptions = GroupValues<typeof enrolmentOptions>;

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
    const { lists, append, time, warnings } = readVariableSource(name, sources[name], options.owner);
    for (const warning of warnings) context.ui.warn(warning);
    // A machine has one platform key.
    const keep = name !== "PK" && (append || options.append);
    enrolments[name] = { lists: joinSignatureLists([lists, further]), append: keep, time };
  }
  return enrolments;
}

/** The files of the options, those of the directory first. */
async function sourceFiles(
  context: Context,
  options: EnrolmentOptions,
): Promise<Record<SecureBootVariable, readonly NamedBytes[]>> {
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

/**
 * The signed updates in a directory that `seal keys generate` made, or one like it.
 * @throws SealError as {@link readEnrollDirectory}
 */
export async function directoryFiles(
  context: Context,
  directory: string,
): Promise<ReadonlyMap<SecureBootVariable, readonly NamedBytes[]>> {
  const { files } = await readEnrollDirectory(context, directory);
  return new Map(
    [...files].map(([name, bytes]) => [name, [{ subject: join(directory, enrollFileName(name)), bytes }]]),
  );
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
          `${certificate.subjectText} is not a Microsoft certificate known to seal; give it with --db or --kek`,
        );
      }
      lists.set(variable, [...(lists.get(variable) ?? []), certificateList(MICROSOFT_OWNER, certificate.der)]);
    }
  }
  return lists;
}
