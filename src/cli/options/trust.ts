/** The options that say whose signatures are trusted, the same in all verbs that check some. */
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { joinDatabases, readDatabase, type SignatureDatabase, unreadableEntry } from "../../sign/database.ts";
import type { Trust } from "../../sign/verify.ts";
import { type Context, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { path } from "./option.ts";
import { readCertificates } from "./signing.ts";

export const trustOptions = optionGroup(null, {
  cert: path({ many: true, env: true, help: "trusted signer or issuer certificates, PEM or DER; repeatable" }),
  db: path({
    many: true,
    help: "contents of db as signature lists or .auth: certificates and hashes; repeatable",
  }),
  dbx: path({ many: true, help: "contents of dbx (revocations), in the same forms as --db; repeatable" }),
});

/**
 * Reads what the options name.
 * @throws SealError `input` for what is not a certificate or signature list
 */
export async function readTrust(context: Context, { cert, db, dbx }: GroupValues<typeof trustOptions>): Promise<Trust> {
  const given = (await Promise.all(cert.map((path) => readCertificates(context, path)))).flat();
  const allowed = await readDatabases(context, db);
  const revoked = await readDatabases(context, dbx);
  return {
    certificates: [...given, ...(allowed?.certificates ?? [])],
    imageHashes: allowed?.imageHashes ?? [],
    revoked: revoked ?? undefined,
    now: context.process.now(),
  };
}

/** Null without files, and where all are empty: a variable without a value does not exist. */
export async function readDatabases(context: Context, paths: readonly string[]): Promise<SignatureDatabase | null> {
  const databases: SignatureDatabase[] = [];
  for (const path of paths) {
    const bytes = await readInput(userPath(context, path), SMALL_FILE);
    if (bytes.length === 0) continue;
    const database = readDatabase(bytes, path);
    if (database.ignored.length > 0) {
      context.ui.warn(`${path}: entries of these types do not apply to EFI programs: ${database.ignored.join(", ")}`);
    }
    for (const problem of database.unreadable) context.ui.warn(unreadableEntry(path, problem));
    databases.push(database);
  }
  return databases.length === 0 ? null : joinDatabases(databases);
}
