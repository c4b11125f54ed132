/**
 * `seal prepare ROOTFS`: puts into a root filesystem what must be there before its digest, in the stage that is sealed.
 */
import { z } from "zod";
import { SealError } from "../../errors.ts";
import { checkRoot } from "../../io/check-root.ts";
import { realDirectory } from "../../io/paths.ts";
import { sourceDate } from "../../io/process-port.ts";
import { type Prepared, prepareTree } from "../../seal/prepare.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { readEnrollDirectory } from "../keys/enroll-directory.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { flag, path, text, value } from "../options/option.ts";
import { loadSigning, signingOptions } from "../options/signing.ts";
import { type ReportRow, renderReport } from "../terminal/report.ts";
import { preparedReport, preparedReportSchema, preparedRows } from "./report.ts";

const seconds = () =>
  z
    .string()
    .regex(/^\d{1,11}$/, "give a whole number of seconds since 1970")
    .transform(BigInt);

const ARGUMENTS = {
  rootfs: path({
    required: "give the root filesystem: / in the stage to be sealed",
    help: "directory of the root filesystem, changed in place; / in a container build",
    complete: "directory",
  }),
};

const OPTIONS = signingOptions.and(
  optionGroup(null, {
    enrollKeys: path({
      help: "directory with PK.auth, KEK.auth, db.auth (and dbx.auth) that bootc install copies to the disk",
      complete: "directory",
    }),
    kernelDir: path({
      help: "move kernel and initramfs to <kver>/ in this directory",
      shownDefault: "not moved",
      complete: "directory",
    }),
    kver: text({ placeholder: "version", help: "which kernel, if there are several", requires: "kernelDir" }),
    mtime: value(seconds, {
      placeholder: "epoch",
      help: "mtime of new files and directories, in seconds since 1970",
      shownDefault: "SOURCE_DATE_EPOCH, or 0",
    }),
    json: flag({ help: "print what was done as JSON" }),
  }),
);
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

/** What `--json` prints. */
export const prepareReportSchema = z.strictObject({
  rootfs: z.string(),
  ...preparedReportSchema.shape,
  /** Null without `--kernel-dir`; no files when they had been already moved. */
  kernel: z.strictObject({ kver: z.string(), directory: z.string(), files: z.array(z.string()) }).nullable(),
  warnings: z.array(z.string()),
});
type PrepareReport = z.infer<typeof prepareReportSchema>;

export const prepareCommand = defineCommand({
  examples: [
    ["/ --key /run/secrets/key --cert /run/secrets/cert", "in a RUN of the stage to be sealed: signs its systemd-boot"],
    [
      "/ --key db.key --cert db.crt --enroll-keys /keys",
      "also installs keys, which bootc install hands to systemd-boot to enrol",
    ],
    ["root --key db.key --cert db.crt --kernel-dir kernel", "a directory; also moves its kernel to kernel/<kver>/"],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: prepare,
});

async function prepare(context: Context, options: Options): Promise<0> {
  const { process, ui } = context;
  const { rootfs: subject, enrollKeys, kernelDir, kver = null, mtime } = options;
  if (
    options.key === undefined &&
    options.signer === undefined &&
    enrollKeys === undefined &&
    kernelDir === undefined
  ) {
    throw new SealError("usage", "--key, --enroll-keys, --kernel-dir: give at least one of them");
  }
  const root = await realDirectory(userPath(context, subject.replace(/^dir:/, "")));
  // In the stage that is sealed the root filesystem is /, and whoever means it says so.
  if (subject !== "/") checkRoot(root);
  const signing = await loadSigning(context, options, null);
  const keys = enrollKeys === undefined ? null : await readEnrollDirectory(context, enrollKeys);
  const prepared = await prepareTree(root, {
    subject,
    signing,
    keys,
    kernel: kernelDir === undefined ? null : { directory: userPath(context, kernelDir), version: kver },
    mtime: mtime ?? BigInt(Math.floor((sourceDate(process.env)?.getTime() ?? 0) / 1000)),
    now: process.now(),
  });
  for (const warning of prepared.warnings) ui.warn(warning);
  const report = reportOf(subject, prepared);
  if (options.json) printJson(context, report);
  else {
    ui.block(renderReport(rows(report), ui.err, process.stderr.columns));
    printLine(context, subject);
  }
  return 0;
}

function reportOf(rootfs: string, { loaders, keys, kernel, warnings }: Prepared): PrepareReport {
  return prepareReportSchema.parse({
    rootfs,
    ...preparedReport({ loaders, keys }),
    kernel: kernel === null ? null : { kver: kernel.version, directory: kernel.to, files: kernel.names },
    warnings,
  });
}

function rows({ kernel, ...prepared }: PrepareReport): ReportRow[] {
  const moved = (files: readonly string[]) => (files.length === 0 ? "already moved" : files.join(", "));
  return [
    ...preparedRows(prepared, "boot loader"),
    ...(kernel === null
      ? []
      : [{ mark: "done", label: "kernel", text: [`${moved(kernel.files)} → ${kernel.directory}`] } as const]),
  ];
}
