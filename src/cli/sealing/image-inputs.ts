/** What `seal image` reads before any image: all that its options name, whatever the number of images. */
import { programArch } from "../../boot/efi-program.ts";
import { SealError } from "../../errors.ts";
import { sourceDate } from "../../io/process-port.ts";
import { readInput } from "../../io/read-input.ts";
import type { EfiArch } from "../../pe/arch.ts";
import { type PeImage, parsePe } from "../../pe/headers.ts";
import type { SealImageOptions } from "../../seal/image.ts";
import { type Context, userPath } from "../context.ts";
import { planFrom } from "../digest/plan.ts";
import { AS_INSTALLED } from "../options/digest.ts";
import { freshImage, recompression } from "../options/fresh.ts";
import { kebabCase } from "../options/spelling.ts";
import type { ImageOptions } from "./image-options.ts";
import { loadSealOptions } from "./inputs.ts";

/** How images are sealed, and the programs that are for one architecture each. */
export interface ImageInputs {
  readonly how: SealImageOptions & {
    readonly signing: NonNullable<SealImageOptions["signing"]> | null;
    readonly uki: NonNullable<SealImageOptions["uki"]>;
    readonly layout: NonNullable<SealImageOptions["layout"]>;
  };
  readonly stubs: readonly PeImage[];
  readonly bootloaders: readonly PeImage[];
}

/** @throws SealError as {@link loadSealOptions}; `input` for a program that can't be read */
export async function readImageInputs(context: Context, options: ImageOptions): Promise<ImageInputs> {
  const [platform] = options.platform;
  const plan = planFrom(context, { ...options, ...AS_INSTALLED, platform });
  const given = await loadSealOptions(context, { ...options, stub: undefined, bootloader: undefined });
  const { signing = null, uki = {}, layout = {} } = given;
  const fresh = freshImage(options);
  const time = sourceDate(context.process.env);
  return {
    how: { ...given, signing, uki, layout, plan, fresh, recompress: recompression(options), time },
    stubs: await readPrograms(context, options.stub),
    bootloaders: await readPrograms(context, options.bootloader),
  };
}

function readPrograms(context: Context, files: readonly string[]): Promise<PeImage[]> {
  return Promise.all(files.map(async (file) => parsePe([await readInput(userPath(context, file))], file)));
}

/**
 * The options for one image, whose architecture is not known yet.
 * @throws SealError `usage` for several programs of a kind
 */
export function forOneImage({ how, stubs, bootloaders }: ImageInputs): SealImageOptions {
  const only = (programs: readonly PeImage[], option: string) => {
    const [program, second] = programs;
    if (second === undefined) return program ?? null;
    throw new SealError("usage", `${option}: several files require several images; see --all-platforms`);
  };
  return { ...how, uki: { ...how.uki, stub: only(stubs, "--stub") }, bootloader: only(bootloaders, "--bootloader") };
}

/** Options whose files are for one architecture, or belong to one kernel. */
const ONE_ARCHITECTURE = [
  "kernelDir",
  "efiArch",
  "microcode",
  "devicetree",
  "devicetreeAuto",
  "efifw",
  "hwids",
  "joinProfile",
] as const satisfies readonly (keyof ImageOptions)[];

/**
 * Refuses what can't be right for images of several platforms.
 * @throws SealError `usage`
 */
export function refuseForOneArchitecture(options: ImageOptions): void {
  const wrong = ONE_ARCHITECTURE.find((name) => [options[name] ?? []].flat().length > 0);
  if (wrong === undefined) return;
  const wayOut = "seal that image by itself, with one --platform";
  throw new SealError("usage", `--${kebabCase(wrong)}: is for one architecture, but there are several; ${wayOut}`);
}

/**
 * Gives each image its programs: stub, boot loader and addons of its architecture.
 * @param arches of the images
 * @returns the options for an architecture
 * @throws SealError `usage` for two programs that are for one architecture, or one that is for none of the images
 */
export function forArchitectures(
  { how, stubs, bootloaders }: ImageInputs,
  arches: readonly EfiArch[],
): (arch: EfiArch) => SealImageOptions {
  const { addons = [] } = how.layout;
  const kinds = [
    ["--stub", stubs],
    ["--bootloader", bootloaders],
    ["--addon", addons.map(({ pe }) => pe)],
  ] as const;
  for (const [option, programs] of kinds) {
    const stray = programs.find((pe) => !arches.includes(programArch(pe)));
    if (stray === undefined) continue;
    const reason = `is for ${programArch(stray)}, and the images are for ${[...new Set(arches)].join(", ")}`;
    throw new SealError("usage", `${option} ${stray.subject}: ${reason}`);
  }
  const ofArch = (programs: readonly PeImage[], arch: EfiArch, option: string) => {
    const [program, second] = programs.filter((pe) => programArch(pe) === arch);
    if (second === undefined) return program ?? null;
    const both = `${program?.subject} and ${second.subject} are both for ${arch}`;
    throw new SealError("usage", `${option}: ${both}; give one file for each architecture`);
  };
  const chosen = new Map(
    arches.map((arch) => [
      arch,
      {
        ...how,
        uki: { ...how.uki, stub: ofArch(stubs, arch, "--stub") },
        bootloader: ofArch(bootloaders, arch, "--bootloader"),
        layout: { ...how.layout, addons: addons.filter(({ pe }) => programArch(pe) === arch) },
      },
    ]),
  );
  return (arch) => chosen.get(arch) ?? how;
}
