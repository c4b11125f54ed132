/** Completes a seal in two halves, with a UKI that was signed elsewhere. */

import { cmdlinesOf } from "../boot/addons.ts";
import { findComposefsWords } from "../boot/cmdline.ts";
import { programArch } from "../boot/efi-program.ts";
import type { HostVerdict } from "../boot/hosts.ts";
import { type BootPlan, planBoot } from "../boot/plan.ts";
import { demandedDigests, type ImageDigest } from "../boot/uki-demand.ts";
import type { ImageTarget } from "../io/oci/image-target.ts";
import type { ImageWork } from "../io/oci/image-writer.ts";
import { type Placed, writeImageTo } from "../io/oci/push-image.ts";
import type { DirectorySource, ImageSource } from "../io/rootfs-source.ts";
import { layerDefects } from "../lint/image-defects.ts";
import type { PeImage } from "../pe/headers.ts";
import type { Trust } from "../sign/verify.ts";
import { chooseBootloader } from "./bootloader.ts";
import { checkProgramsEnrolled } from "./enrolled.ts";
import type { SealImageOptions } from "./image.ts";
import { halvesPreparation, preparationWarnings } from "./image-preparation.ts";
import { areAsMeant, type LowerLayers, writeLowerLayers } from "./lower-layers.ts";
import { type HalvesFiles, matchHalves } from "./match-halves.ts";
import { LAYOUT_DEFAULTS, planOf } from "./options.ts";
import type { Ports } from "./ports.ts";
import { checkGivenLoaders } from "./preparation.ts";
import { shippedDump } from "./shipped-dump.ts";
import { checkSigned } from "./signed-programs.ts";
import { refuseSource } from "./target.ts";
import { treeWarnings } from "./tree-warnings.ts";
import { type Judged, judgeHosts } from "./verdicts.ts";
import { checkSealedImage, expectedOf, imageWarnings, type SealedImage, writeSealedImage } from "./written-image.ts";

/** The hash of the plan is replaced by that of the digest in the UKI. */
export interface CompleteSealOptions
  extends Pick<
    SealImageOptions,
    "plan" | "bootloader" | "layout" | "shipDump" | "enrolled" | "fresh" | "recompress" | "time"
  > {
  /** The signed UKI. */
  readonly uki: PeImage;
  /** Its name in `/boot`. */
  readonly fileName: string;
  /** Who must have signed UKI, addons and boot loaders; without certificates and hashes: anyone. */
  readonly trust: Trust;
  /**
   * The systemd-boot of `/usr`, signed, for one architecture or more, the same that the UKI was built with; absent:
   * `/usr` stays as it is.
   */
  readonly signedBootloaders?: readonly PeImage[] | undefined;
}

/** An image that was completed and written, and what it was made of. */
export interface CompletedSeal extends SealedImage {
  readonly lower: LowerLayers;
  readonly plan: BootPlan;
  readonly judged: Judged;
  /** One line each. */
  readonly warnings: readonly string[];
}

/** Advice about an unsigned boot loader in `/usr`. */
export const SIGN_ELSEWHERE =
  "Sign it, and give it to seal build-uki --from and to seal with-uki with --signed-bootloader";
/** A file in an image can't be signed by hand. */
const UNSIGNED_BOOTLOADER =
  "extract it with seal build-uki --from … --print-unsigned DIR, sign it, and give it to both halves with --signed-bootloader";

/**
 * Seals an image with a UKI that names its digest, and writes it. On failure the target is as it was.
 * @throws SealError `input` for programs that firmware would not start, and a UKI for another image; as `sealImage`
 */
export async function completeSeal(
  source: ImageSource | DirectorySource,
  target: ImageTarget,
  options: CompleteSealOptions,
  ports: Ports,
): Promise<Placed<CompletedSeal>> {
  await refuseSource(source, target, ports);
  const { uki, trust, bootloader: given = null, signedBootloaders = [] } = options;
  const { fresh = {}, time = null, recompress = null, shipDump = false } = options;
  const layout = { ...LAYOUT_DEFAULTS, ...options.layout };
  const arch = programArch(uki);
  // Problems of the files are found before half a gigabyte is read.
  const [first] = demandedDigests(uki);
  const { enrolled } = options;
  const checkEnrolled = (programs: readonly PeImage[]) => {
    if (enrolled) checkProgramsEnrolled(enrolled.keys, programs, enrolled.now);
  };
  const programs = [uki, ...(layout.addons ?? []).map((addon) => addon.pe)];
  for (const pe of programs) checkSigned(pe, trust);
  checkGivenLoaders(signedBootloaders, trust);
  checkEnrolled([...programs, ...signedBootloaders]);
  const plan = { ...planOf(options), algorithm: first?.algorithm ?? "sha512" };
  const [cmdline = ""] = cmdlinesOf(uki);
  const halves = { given: signedBootloaders, keys: enrolled?.keys ?? null };
  const prepareWith = (files: HalvesFiles) =>
    halvesPreparation({ ...files, now: trust.now, algorithm: plan.algorithm });
  const work: ImageWork<CompletedSeal> = {
    write: async (staged) => {
      const prepare = prepareWith(halves);
      const lowerOptions = { plan, fresh, time, recompress, prepare, keepsTrees: true };
      const lower = await writeLowerLayers(source, staged, lowerOptions, ports);
      const { rootfs, loaders } = lower.prepared;
      const judged = await judgeHosts(lower.computed, {
        cmdline,
        words: findComposefsWords(cmdline),
        uki,
        defects: layerDefects(lower.forms),
      });
      const have = [...lower.computed.digests, ...expectedDigests(judged.verdicts)];
      const named = await matchHalves(uki, have, {
        source,
        computed: lower.computed,
        halves,
        bootloader: given,
        prepareWith,
      });
      const tree = await treeWarnings(rootfs, { arch, trust, enrolls: Boolean(enrolled), wayOut: SIGN_ELSEWHERE });
      const own = loaders.find((loader) => loader.arch === arch)?.pe ?? null;
      const bootloader = await chooseBootloader(given ?? own, rootfs, arch);
      if (given !== null) checkSigned(bootloader, trust);
      else checkSigned(bootloader, trust, UNSIGNED_BOOTLOADER);
      checkEnrolled([bootloader]);
      const dump = shipDump ? await shippedDump(lower.computed) : null;
      const boot = planBoot({ ...layout, ukis: [{ pe: uki, fileName: options.fileName }], bootloader, dump });
      const image = await writeSealedImage(staged, { lower, files: boot.files, arch, uki, named, time });
      const warnings = [
        ...preparationWarnings(lower.prepared),
        ...boot.warnings,
        ...tree,
        ...imageWarnings(source.subject, image, arch),
      ];
      return { ...image, lower, plan: boot, judged, warnings };
    },
    archiving: () => ports.progress.copy(`writing ${target.subject}`),
    check: (place, completed) => checkSealedImage(target, place, expectedOf(completed), ports),
  };
  return writeImageTo(target, work, { remote: ports.remote, asIs: ({ lower }) => areAsMeant(lower) });
}

/** What releases compute of the image besides the requested digests. */
function expectedDigests(verdicts: readonly HostVerdict[]): ImageDigest[] {
  return verdicts.flatMap(({ expected, finds, series: { erofs } }) => [
    ...(expected === null ? [] : [{ erofs, algorithm: "sha512", digest: expected }]),
    ...finds.map((found) => ({ ...found, algorithm: "sha512" })),
  ]);
}
