/** `seal measure FILE`: the PCR values that a finished UKI will produce, for each of its profiles. */
import { stat } from "node:fs/promises";
import { z } from "zod";
import { toHex } from "../../bytes.ts";
import { inputError, SealError } from "../../errors.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { addressWarnings } from "../../pe/address-overlap.ts";
import { type LoggedEvent, parseEventLog } from "../../pe/event-log.ts";
import { parsePe } from "../../pe/headers.ts";
import { DEFAULT_PHASE_PATHS, firmwareAssumptions, measuredSets, predictPcr11 } from "../../pe/measure.ts";
import { PCR_BANKS } from "../../pe/pcr-events.ts";
import { profileGroups, profileId } from "../../pe/profiles.ts";
import type { MeasuredBoot } from "../../pe/uki-pcrs.ts";
import { fileBootPath, treeBootPaths } from "../../seal/boot-path.ts";
import { bootReferences } from "../../seal/boot-reference.ts";
import { checkLog } from "../../seal/check-log.ts";
import { readImageBoot } from "../../seal/image-boot.ts";
import type { BootPath } from "../../sign/boot-reference.ts";
import { readPolicy, type SecureBootPolicy } from "../../sign/secure-boot-policy.ts";
import { pcrBanksSchema, pcrReport } from "../build-uki/pcrs.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { enrolmentOptions } from "../keys/enrolments.ts";
import { givenPolicy, varsOption } from "../keys/policy.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { flag, off, parsed, path, text, value } from "../options/option.ts";
import { banksOption, DEFAULT_PHASES_SHOWN, phasePaths } from "../options/pcr.ts";
import { platformOptions } from "../options/platform.ts";
import { registryOptions } from "../options/registry.ts";
import { imageSource } from "../options/source.ts";
import { portsOf } from "../ports.ts";
import { formatBanks, formatOptions, writeFormat } from "./format.ts";
import { logReport, logText } from "./log.ts";
import { referenceReport } from "./reference.ts";

const REFERENCE = "Reference values and event logs";
const ONE_SOURCE = "cannot be combined with keys or --vars";
const requires = { anyOf: ["reference", "eventLog"] };

const ARGUMENTS = {
  file: path({
    help: "UKI, signed or not; with --reference or --event-log also a /boot or a directory that contains one",
  }),
};
const OPTIONS = optionGroup(null, {
  banks: banksOption(`${PCR_BANKS.join(",")}; sha256 with --reference, those of the log with --event-log`),
  phases: value(phasePaths, {
    many: true,
    placeholder: "paths",
    help: "boot phase paths (enter-initrd:leave-initrd), comma-separated; repeatable",
    shownDefault: DEFAULT_PHASES_SHOWN,
  }),
  json: flag({ help: "print the report as JSON" }),
})
  .and(
    optionGroup("Image", {
      from: parsed(imageSource("--from"), {
        placeholder: "image",
        help: "sealed image instead of FILE: oci:PATH[:TAG], oci-archive:FILE[:TAG], docker://REF, containers-storage:REF",
        requires,
        excludes: { file: "replaces FILE; give only one", bootloader: "an image has its own boot loader" },
      }),
    }),
  )
  .and(platformOptions.each({ requires: "from" }))
  .and(registryOptions)
  .and(
    optionGroup(REFERENCE, {
      reference: flag({
        help: "print PCR 4, 7, 11 and 12 with their events as JSON; requires keys or --no-secure-boot",
      }),
      bootloader: path({
        help: "boot loader that starts the UKI given as FILE",
        shownDefault: "the firmware starts it",
        requires,
      }),
    }),
  )
  .and(optionGroup(null, { vars: varsOption }).each({ heading: REFERENCE, requires }))
  .and(enrolmentOptions.each({ heading: REFERENCE, requires }))
  .and(
    optionGroup(REFERENCE, {
      secureBoot: off({
        help: "assume that no keys are enrolled",
        requires,
        excludes: Object.fromEntries(
          ["vars", "keys", "pk", "kek", "db", "dbx", "microsoft"].map((name) => [name, ONE_SOURCE]),
        ),
      }),
      kernelArguments: text({
        placeholder: "text",
        help: "arguments that a virtual machine passes to systemd-stub (SMBIOS type 11)",
        requires,
      }),
      eventLog: path({
        help: "check whether this event log (binary_bios_measurements) is from a machine that booted FILE or --from, exit code 1 if not; with --reference: compare PCR by PCR",
      }),
    }),
  )
  .and(formatOptions.each({ heading: REFERENCE }));
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

export const measureCommand = defineCommand({
  examples: [
    ["uki.efi", "PCR 11 in all banks, after each boot phase"],
    ["uki.efi --banks sha256 --phases enter-initrd", "the value to which secrets for the initrd are sealed"],
    [
      "out --reference --keys keys",
      "PCR 4, 7, 11 and 12 of a machine with these keys that boots the output of seal rootfs",
    ],
    [
      "uki.efi --reference --bootloader BOOTX64.EFI --vars OVMF_VARS.fd",
      "the same, with the keys of a virtual machine",
    ],
    [
      "out --reference --keys keys --format pcrlock --output pcrlock.d",
      "the same as systemd-pcrlock components; see --format for other verifiers",
    ],
    [
      "--from oci:sealed --event-log binary_bios_measurements",
      "did the machine with this log boot that image, and if not, which event differs?",
    ],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: async (context, options) => {
    if (options.reference) return printReference(context, options);
    return options.eventLog === undefined
      ? measureFile(context, options)
      : checkEventLog(context, options, options.eventLog);
  },
});

/** Its shape is stable within a major version. */
export const measureReportSchema = z.object({
  file: z.string(),
  /** `ID=` of each profile; null where there is none. A UKI without profiles has one entry, its base. */
  profiles: z.array(z.string().nullable()),
  pcrs: pcrBanksSchema,
});

async function measureFile(context: Context, options: Options): Promise<0> {
  const file = givenFile(options);
  if (await isDirectory(context, file)) {
    throw new SealError("usage", `${file}: is a directory; give a UKI, or --reference with the keys of the firmware`);
  }
  const pe = parsePe([await readInput(userPath(context, file))], file);
  for (const warning of addressWarnings(pe)) context.ui.warn(warning);
  for (const assumption of firmwareAssumptions(pe.sections)) context.ui.note(`PCR 11 assumes: ${assumption}`);
  const groups = profileGroups(pe);
  const phases = phasesOf(options);
  const boots: MeasuredBoot[] = groups.flatMap((_, profile) =>
    measuredSets(groups, profile).map((set) => {
      if (!set.sections.some(({ name }) => name === ".linux")) {
        throw inputError(file, "has no .linux section, so it is not a UKI. PCR 11 is predicted for UKIs only");
      }
      const predictions = predictPcr11(set.sections, options.banks ?? PCR_BANKS, phases);
      return { profile, devicetree: set.devicetree, predictions };
    }),
  );
  const ids = groups.map((group) => {
    const description = group.find(({ name }) => name === ".profile");
    return description === undefined ? null : profileId(description, file);
  });
  if (options.json) {
    printJson(context, measureReportSchema.parse({ file: file, profiles: ids, pcrs: pcrReport(boots) }));
    return 0;
  }
  for (const { profile, devicetree, predictions } of boots) {
    const which = [
      ...(groups.length > 1 ? [`profile ${profile} (${ids[profile] ?? "no ID"})`] : []),
      ...(devicetree === null ? [] : [`device tree ${devicetree}`]),
    ];
    if (which.length > 0) context.ui.note(`${which.join(", ")}:`);
    for (const { bank, value } of predictions) printLine(context, `11:${bank}=${toHex(value)}`);
  }
  return 0;
}

async function isDirectory(context: Context, path: string): Promise<boolean> {
  return (await stat(userPath(context, path)).catch(() => null))?.isDirectory() ?? false;
}

function phasesOf({ phases }: Options): readonly string[] {
  return phases.length > 0 ? phases.flat() : DEFAULT_PHASE_PATHS;
}

function givenFile({ file }: Options): string {
  if (file !== undefined) return file;
  throw new SealError("usage", "file: give a file, or --from IMAGE with --reference or --event-log");
}

/** What is booted, and by which firmware. */
async function readBooted(
  context: Context,
  options: Options,
): Promise<{ readonly subject: string; readonly paths: readonly BootPath[]; readonly policy: SecureBootPolicy }> {
  const { from, bootloader } = options;
  if (from !== undefined) {
    const { paths, policy } = await readImageBoot(
      from,
      options.platform,
      portsOf(context, { ...options, cache: false }),
    );
    return { subject: from.subject, paths, policy: await firmwarePolicy(context, options, policy) };
  }
  const file = givenFile(options);
  const policy = await firmwarePolicy(context, options, null);
  const isTree = await isDirectory(context, file);
  if (isTree && bootloader !== undefined) {
    throw new SealError("usage", "--bootloader: requires a UKI; a /boot has its own in EFI/BOOT");
  }
  const { process } = context;
  const paths = isTree ? await treeBootPaths(file, process) : [await fileBootPath(file, bootloader ?? null, process)];
  return { subject: file, paths, policy };
}

async function readLog(context: Context, eventLog: string): Promise<readonly LoggedEvent[]> {
  return parseEventLog(await readInput(userPath(context, eventLog), SMALL_FILE), eventLog);
}

async function checkEventLog(context: Context, options: Options, eventLog: string): Promise<0 | 1> {
  const log = await readLog(context, eventLog);
  const { subject, paths, policy } = await readBooted(context, options);
  const { banks, kernelArguments = "", json } = options;
  const now = context.process.now();
  const check = checkLog(log, paths, { policy, banks, kernelArguments, now, subject: eventLog });
  for (const reason of check.refusals) context.ui.warn(reason);
  const report = logReport(check, { eventLog, booted: subject, secureBoot: policy.enforced });
  if (json) printJson(context, report);
  else printLine(context, logText(context, report));
  return report.matches ? 0 : 1;
}

async function printReference(context: Context, options: Options): Promise<0 | 1> {
  const { eventLog, format } = options;
  const wanted = format === undefined ? (options.banks ?? ["sha256"]) : formatBanks(format, options);
  const log = eventLog === undefined ? null : await readLog(context, eventLog);
  const { paths, policy } = await readBooted(context, options);
  const { references, refusals } = bootReferences(paths, {
    policy,
    banks: wanted,
    phases: phasesOf(options),
    kernelArguments: options.kernelArguments ?? "",
    now: context.process.now(),
  });
  for (const reason of refusals) context.ui.warn(reason);
  if (format !== undefined) {
    await writeFormat(context, format, references, policy, options);
    return 0;
  }
  const unknown = references.flatMap((one) =>
    one.unknown === null ? [] : [`${one.bootPath.uki.pe.subject}: ${one.unknown}`],
  );
  for (const reason of new Set(unknown)) context.ui.note(`PCR 12 is not computed: ${reason}`);
  const report = referenceReport(references, policy.enforced, wanted, log);
  printJson(context, report);
  if (log === null) return 0;
  const different = report.boots.map(({ pcrs }) => pcrs.filter(({ difference }) => difference !== null));
  if (different.some((pcrs) => pcrs.length === 0)) return 0;
  for (const { pcr, difference } of different.flat()) context.ui.note(`PCR ${pcr}: ${difference}`);
  return 1;
}

/** The firmware's variables as given. @param own what it has by default; null: that can't be known */
async function firmwarePolicy(
  context: Context,
  options: Options,
  own: SecureBootPolicy | null,
): Promise<SecureBootPolicy> {
  if (!options.secureBoot) return readPolicy([], "firmware");
  const policy = (await givenPolicy(context, options)) ?? own;
  if (policy !== null) return policy;
  const option = options.reference ? "--reference" : "--event-log";
  throw new SealError("usage", `${option}: give the keys of the firmware (--keys, --vars), or --no-secure-boot`);
}
