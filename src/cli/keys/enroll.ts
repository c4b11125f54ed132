/** `seal keys enroll`: puts Secure Boot keys into the variable store of a virtual machine, before its first start. */
import { SealError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import { sourceDate } from "../../io/process-port.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { SECURE_BOOT_VARIABLES } from "../../sign/authvar.ts";
import { enroll } from "../../sign/enroll.ts";
import { parseVariableStore, writeVariableStore } from "../../sign/ovmf.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { flag, path, value } from "../options/option.ts";
import { writes } from "../options/risk.ts";
import { timeSchema } from "../options/time.ts";
import { enrolmentOptions, readEnrolments } from "./enrolments.ts";
import { describeKeys, drawKeys, keysShowReportSchema } from "./show-report.ts";

const OPTIONS = optionGroup(null, {
  vars: path({
    required: "give a variable store, OVMF_VARS.fd",
    problem: "is empty",
    help: "initial variable store of OVMF or AAVMF",
  }),
  output: path({
    risk: writes,
    short: "o",
    required: "give a file to write",
    problem: "is empty",
    help: "file to write; may be that of --vars",
  }),
})
  .and(enrolmentOptions)
  .and(
    optionGroup(null, {
      timestamp: value(timeSchema, {
        placeholder: "time",
        help: "timestamp of the variables; later updates must be newer",
        shownDefault: "from the .auth, SOURCE_DATE_EPOCH, or the start of the newest certificate's validity",
      }),
      json: flag({ help: "print the resulting store as JSON, like seal keys show" }),
    }),
  );
type Options = GroupValues<typeof OPTIONS>;

export const keysEnrollCommand = defineCommand({
  examples: [
    ["--vars OVMF_VARS_4M.fd --keys keys --output vars.fd", "the keys that seal keys generate made"],
    [
      "--vars OVMF_VARS_4M.fd --keys keys --microsoft uefi-ca.crt --output vars.fd",
      "also enrols a Microsoft certificate",
    ],
    ["--vars vars.fd --dbx revoked.esl --append --output vars.fd", "adds a revocation"],
  ],
  arguments: {},
  options: OPTIONS,
  run: enrollKeys,
});

async function enrollKeys(context: Context, options: Options): Promise<0> {
  const { vars, output, timestamp } = options;
  const enrolments = await readEnrolments(context, options);
  const given = timestamp === undefined ? null : new Date(Math.floor(Date.parse(timestamp) / 1000) * 1000);
  for (const name of SECURE_BOOT_VARIABLES) {
    const enrolment = enrolments[name];
    if (enrolment === undefined) continue;
    enrolments[name] = { ...enrolment, time: given ?? enrolment.time ?? sourceDate(context.process.env) };
  }
  if (Object.keys(enrolments).length === 0)
    throw new SealError("usage", "--keys: give keys, or --pk, --kek, --db, --dbx");
  const store = parseVariableStore(await readInput(userPath(context, vars), SMALL_FILE), vars);
  const file = writeVariableStore(store, enroll(store, enrolments));
  await writeOutput(userPath(context, output), [file]);
  const report = await describeKeys(file, output, null);
  if (options.json) printJson(context, keysShowReportSchema.parse(report));
  else printLine(context, drawKeys(report, context.process.stdout.columns));
  return 0;
}
