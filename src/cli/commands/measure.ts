/** `seal measure FILE`: the PCR 11 values that a finished UKI will produce, for each of its profiles. */
import { z } from "zod";
import { toHex } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import { readInput } from "../../io/files.ts";
import { parsePe } from "../../pe/headers.ts";
import { DEFAULT_PHASE_PATHS, measuredSets, PCR_BANKS, predictPcr11 } from "../../pe/measure.ts";
import { profileGroups, profileId } from "../../pe/profiles.ts";
import type { MeasuredBoot } from "../../pe/uki-pcrs.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { banksField, phasesField } from "../options/pcr.ts";
import { pcrReport, pcrsSchema } from "../uki-pcrs.ts";

const schema = z.object({
  file: z.string().min(1, "give a file"),
  banks: banksField,
  phases: phasesField,
  json: z.boolean().default(false),
});
type Options = z.infer<typeof schema>;

export const measureCommand = defineCommand<Options>({
  examples: [
    ["uki.efi", "all banks, after each phase of booting"],
    ["uki.efi --banks sha256 --phases enter-initrd", "the value that secrets for the initrd are sealed to"],
  ],
  arguments: [{ name: "<file>", description: "UKI, signed or not" }],
  options: [
    {
      flags: "--banks <banks>",
      description: "banks of the TPM, separated by commas",
      default: PCR_BANKS.join(","),
      aliases: ["--pcr-banks"],
    },
    {
      flags: "--phases <paths...>",
      description: "phase paths (enter-initrd:leave-initrd), separated by commas; repeatable",
      default: "enter-initrd, then also leave-initrd, sysinit, ready",
    },
    { flags: "--json", description: "report as JSON, with the phase of each value" },
  ],
  schema,
  run: measureFile,
});

/** Its shape is stable within a major version. */
export const measureReportSchema = z.object({
  file: z.string(),
  /** `ID=` of each profile; null where there is none. A UKI without profiles has one entry, its base. */
  profiles: z.array(z.string().nullable()),
  pcrs: pcrsSchema,
});

async function measureFile(context: Context, options: Options): Promise<0> {
  const pe = parsePe([await readInput(userPath(context, options.file))], options.file);
  const groups = profileGroups(pe);
  const phases = options.phases.length > 0 ? options.phases.flat() : DEFAULT_PHASE_PATHS;
  const boots: MeasuredBoot[] = groups.flatMap((_, profile) =>
    measuredSets(groups, profile).map((set) => {
      if (!set.sections.some(({ name }) => name === ".linux")) {
        throw inputError(options.file, "has no .linux section: no UKI. PCR 11 is predicted for UKIs only");
      }
      const predictions = predictPcr11(set.sections, options.banks, phases);
      return { profile, devicetree: set.devicetree, predictions };
    }),
  );
  const ids = groups.map((group) => {
    const description = group.find(({ name }) => name === ".profile");
    return description === undefined ? null : profileId(description, options.file);
  });
  if (options.json) {
    printJson(context, measureReportSchema.parse({ file: options.file, profiles: ids, pcrs: pcrReport(boots) }));
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
