/** `seal keys enroll`: puts Secure Boot keys into the variable store of a virtual machine, before its first start. */
import { z } from "zod";
import { inputError, SealError } from "../../errors.ts";
import { readInput, writeOutput } from "../../io/files.ts";
import { sourceDate } from "../../io/host.ts";
import { SECURE_BOOT_VARIABLES, type SecureBootVariable } from "../../sign/authvar.ts";
import { parseCertificate } from "../../sign/certificate.ts";
import { type Enrolment, enroll } from "../../sign/enroll.ts";
import { joinSignatureLists } from "../../sign/list-source.ts";
import { MICROSOFT_OWNER, microsoftVariable } from "../../sign/microsoft.ts";
import { parseVariableStore, writeVariableStore } from "../../sign/ovmf.ts";
import { certificateList, type SignatureList } from "../../sign/siglist.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { describeKeys, drawKeys, keysShowJson } from "../keys-report.ts";
import { guidOption } from "../options/guid.ts";
import { readCertificates } from "../options/signing.ts";
import { isTime } from "../options/time.ts";
import { keyUpdates, NO_OWNER, readVariableSource } from "../trust-sources.ts";

const files = z.array(z.string().min(1, "give a file")).default([]);
const schema = z.object({
  vars: z.string("give a variable store, OVMF_VARS.fd").min(1, "is empty"),
  output: z.string("give a file to write").min(1, "is empty"),
  keys: z.string().min(1, "give a directory").optional(),
  pk: files,
  kek: files,
  db: files,
  dbx: files,
  microsoft: files,
  append: z.boolean().default(false),
  owner: guidOption.default(NO_OWNER),
  timestamp: z.string().refine(isTime, "give a time like 2026-01-02T03:04:05Z").optional(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof schema>;

const WHAT = "certificates, signature lists or .auth";

export const keysEnrollCommand = defineCommand<Options>({
  examples: [
    ["--vars OVMF_VARS_4M.fd --keys keys --output vars.fd", "the keys that seal keys generate made"],
    [
      "--vars OVMF_VARS_4M.fd --keys keys --microsoft uefi-ca.crt --output vars.fd",
      "with a certificate of Microsoft too",
    ],
    ["--vars vars.fd --dbx revoked.esl --append --output vars.fd", "revokes something more"],
  ],
  options: [
    { flags: "--vars <file>", description: "variable store of OVMF or AAVMF to start from", complete: "file" },
    { flags: "-o, --output <file>", description: "write here; may be the same", complete: "file" },
    {
      flags: "--keys <dir>",
      description: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth)",
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
    {
      flags: "--timestamp <time>",
      description: "when the variables were set; later updates must be newer",
      default: "that of the .auth, SOURCE_DATE_EPOCH, or when the newest certificate became valid",
    },
    { flags: "--json", description: "print the resulting store as JSON, as seal keys show" },
  ],
  schema,
  run: enrollKeys,
});

async function enrollKeys(context: Context, options: Options): Promise<0> {
  const { vars, output } = options;
  const sources = await sourceFiles(context, options);
  const microsoft = await readMicrosoft(context, options.microsoft);
  const enrolments: Partial<Record<SecureBootVariable, Enrolment>> = {};
  for (const name of SECURE_BOOT_VARIABLES) {
    const further = microsoft.get(name) ?? [];
    if (sources[name].length === 0 && further.length === 0) continue;
    enrolments[name] = await readEnrolment(context, options, name, sources[name], further);
  }
  if (Object.keys(enrolments).length === 0)
    throw new SealError("usage", "--keys: give keys, or --pk, --kek, --db, --dbx");
  const store = parseVariableStore(await readInput(userPath(context, vars)), vars);
  const file = writeVariableStore(store, enroll(store, enrolments));
  await writeOutput(userPath(context, output), [file]);
  const report = await describeKeys(file, output, null);
  if (options.json) printJson(context, keysShowJson.parse(report));
  else printLine(context, drawKeys(report));
  return 0;
}

async function readEnrolment(
  context: Context,
  options: Options,
  name: SecureBootVariable,
  sources: readonly string[],
  further: readonly SignatureList[],
): Promise<Enrolment> {
  const { lists, append, time } = await readVariableSource(context, name, sources, options.owner);
  const given =
    options.timestamp === undefined ? null : new Date(Math.floor(Date.parse(options.timestamp) / 1000) * 1000);
  return {
    lists: joinSignatureLists([...lists, ...further]),
    // A machine has one platform key.
    append: name !== "PK" && (append || options.append),
    time: given ?? time ?? sourceDate(context.host.env),
  };
}

/** The files of the options, those of the directory first. */
async function sourceFiles(context: Context, options: Options): Promise<Record<SecureBootVariable, string[]>> {
  const { keys, pk, kek, db, dbx } = options;
  const sources = { PK: [...pk], KEK: [...kek], db: [...db], dbx: [...dbx] };
  if (keys === undefined) return sources;
  for (const [name, file] of await keyUpdates(context, keys)) sources[name].unshift(file);
  return sources;
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
        const { subjectText } = parseCertificate(certificate);
        throw inputError(
          path,
          `${subjectText} is no certificate of Microsoft that seal knows; give it with --db or --kek`,
        );
      }
      lists.set(variable, [...(lists.get(variable) ?? []), certificateList(MICROSOFT_OWNER, certificate.der)]);
    }
  }
  return lists;
}
