/**
 * `seal keys auth VARIABLE [FILE…]`: a signed update of a variable, as firmware, systemd-boot and
 * efi-updatevar take it.
 */
import { z } from "zod";
import { inputError, SealError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import { sourceDate } from "../../io/process-port.ts";
import {
  namedVariable,
  SECURE_BOOT_VARIABLES,
  VARIABLE_ATTRIBUTES,
  type VariableAttribute,
  type VariableChange,
} from "../../sign/authvar.ts";
import { databaseOf } from "../../sign/database.ts";
import { joinSignatureLists, signatureListsOf, twoHashesNote } from "../../sign/list-source.ts";
import { encodeSignatureLists, type SignatureList } from "../../sign/siglist.ts";
import { signUpdate } from "../../sign/update-signature.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { guid } from "../options/guid.ts";
import { flag, path, text, value } from "../options/option.ts";
import { writes } from "../options/risk.ts";
import { loadSigner, signingOptions } from "../options/signing.ts";
import { timeOrNowSchema } from "../options/time.ts";
import { NO_OWNER, readKeyFiles } from "./trust-sources.ts";

const ATTRIBUTE_NAMES = Object.keys(VARIABLE_ATTRIBUTES) as [VariableAttribute, ...VariableAttribute[]];

const attributes = () =>
  z
    .string()
    .transform((names) => names.split(","))
    .pipe(z.array(z.enum(ATTRIBUTE_NAMES, `give names from ${ATTRIBUTE_NAMES.join(", ")}`)));

const ARGUMENTS = {
  variable: text({ required: "give the name of a variable", help: "PK, KEK, db, dbx, or with --guid any other" }),
  file: path({
    many: true,
    help: "new value: certificates, EFI programs (their hashes), signature lists; with --guid any file",
  }),
};
const OPTIONS = signingOptions.and(
  optionGroup(null, {
    output: path({
      risk: writes,
      short: "o",
      required: "give a file to write",
      problem: "is empty",
      help: "file to write",
    }),
    append: flag({ help: "append to the variable instead of replacing it", excludes: ["delete"] }),
    delete: flag({ help: "delete the variable" }),
    timestamp: value(timeOrNowSchema, {
      placeholder: "time",
      help: "timestamp of the update, like 2026-01-02T03:04:05Z; firmware accepts only newer ones than it has",
      shownDefault: "SOURCE_DATE_EPOCH, or now",
    }),
    owner: value(guid, {
      placeholder: "guid",
      default: NO_OWNER,
      help: "owner GUID of entries created from certificates and programs",
    }),
    guid: value(guid, { placeholder: "guid", help: "vendor GUID of any other variable" }),
    attributes: value(attributes, {
      placeholder: "names",
      complete: ATTRIBUTE_NAMES,
      help: `attributes of such a variable, in addition to time-based authentication: ${ATTRIBUTE_NAMES.join(",")}`,
      shownDefault: "all",
    }),
    json: flag({ help: "print what was signed as JSON" }),
  }),
);
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

export const keysAuthCommand = defineCommand({
  examples: [
    ["db db.crt --key KEK.key --cert KEK.crt --output db.auth", "sets db to one certificate"],
    ["dbx bad.efi --append --key KEK.key --cert KEK.crt --output dbx.auth", "revokes one EFI program"],
    ["PK --delete --key PK.key --cert PK.crt --output noPK.auth", "deletes the platform key: back to setup mode"],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: writeUpdate,
});

/** Its shape is stable within a major version. */
export const keysAuthReportSchema = z.strictObject({
  output: z.string(),
  variable: z.string(),
  guid: z.string(),
  write: z.enum(["replace", "append"]),
  time: z.string(),
  /** Of the value, in bytes. */
  size: z.int(),
  signer: z.string(),
});

async function writeUpdate(context: Context, options: Options): Promise<0> {
  const { output, append } = options;
  const variable = variableOf(options);
  if (options.delete === options.file.length > 0) {
    throw new SealError("usage", "file: give the new value, or --delete and no file");
  }
  const value = await readValue(context, options, variable);
  if (value.length === 0 && !options.delete) {
    throw new SealError("usage", `file: is empty, which would delete ${options.variable}; give --delete for that`);
  }
  const signer = await loadSigner(context, options);
  const change = {
    variable,
    write: append ? ("append" as const) : ("replace" as const),
    time: updateTime(context, options),
    value,
    ...(options.attributes === undefined ? {} : { attributes: options.attributes }),
  } satisfies VariableChange;
  await writeOutput(userPath(context, output), [await signUpdate(change, signer)]);
  const { name, vendor } = typeof variable === "string" ? namedVariable(variable) : variable;
  const { subjectText } = signer.certificate;
  if (options.json) {
    const time = change.time.toISOString();
    const { write } = change;
    const size = value.length;
    printJson(
      context,
      keysAuthReportSchema.parse({ output, variable: name, guid: vendor, write, time, size, signer: subjectText }),
    );
  } else {
    const what = options.delete ? `deletes ${name}` : append ? `adds to ${name}` : `replaces ${name}`;
    printLine(context, `${output}: ${what}, dated ${change.time.toISOString()}, signed by ${subjectText}`);
  }
  return 0;
}

function variableOf({ variable, guid, attributes }: Options): VariableChange["variable"] {
  const known = SECURE_BOOT_VARIABLES.find((name) => name === variable);
  if (known !== undefined) {
    if (guid !== undefined || attributes !== undefined) {
      throw new SealError("usage", `--guid and --attributes: fixed for ${known}; omit them`);
    }
    return known;
  }
  if (guid === undefined) {
    throw new SealError(
      "usage",
      `variable: ${variable} is not one of ${SECURE_BOOT_VARIABLES.join(", ")}; give its --guid`,
    );
  }
  return { name: variable, vendor: guid };
}

async function readValue(
  context: Context,
  { file, owner }: Options,
  variable: VariableChange["variable"],
): Promise<Uint8Array> {
  const files = await readKeyFiles(context, file);
  if (typeof variable !== "string") return Buffer.concat(files.map(({ bytes }) => bytes));
  const lists = files.map(({ subject, bytes }): SignatureList[] => {
    const own = signatureListsOf(bytes, subject, { owner, certificatesByHash: false });
    const [problem] = databaseOf(own, subject).unreadable;
    if (problem !== undefined) {
      throw inputError(
        subject,
        `an entry is ${problem}, and firmware refuses such an update; give the certificate itself`,
      );
    }
    const note = twoHashesNote(bytes, subject);
    if (note !== null) context.ui.note(note);
    return own;
  });
  return encodeSignatureLists(joinSignatureLists(lists));
}

function updateTime(context: Context, { timestamp }: Options): Date {
  const now = () => context.process.now();
  const time =
    timestamp === undefined
      ? (sourceDate(context.process.env) ?? now())
      : timestamp === "now"
        ? now()
        : new Date(timestamp);
  return new Date(Math.floor(time.getTime() / 1000) * 1000);
}
