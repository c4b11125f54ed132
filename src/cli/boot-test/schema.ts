/** The JSON shape of what `boot-test` reports. */
import { z } from "zod";
import { BOOT_STAGES, ROOT_PROBLEMS } from "../../boot/console/lines.ts";
import { SECURE_BOOT_MODES } from "./firmware.ts";

export const pcrsReportSchema = z
  .array(
    z.object({
      pcr: z.int(),
      /** Of the SHA-256 bank. */
      value: z.string(),
      /**
       * What was computed: of the UKI and profile that fit best; null for a PCR that is not computed, or
       * when no kernel started.
       */
      expected: z.string().nullable(),
      matches: z.boolean().nullable(),
      /** Of PCR 11: the phases that have been entered, joined by colons; null when none were, or it does not match. */
      phase: z.string().nullable(),
    }),
  )
  .readonly();
export type PcrsReport = z.infer<typeof pcrsReportSchema>;

/** Whether none is other than computed. */
export function areAsComputed(pcrs: PcrsReport | null): boolean {
  return pcrs === null || pcrs.every(({ matches }) => matches !== false);
}

const digests = z.array(z.string()).readonly();

export const bootTestReportSchema = z.object({
  /** What was booted: a /boot, an image or a disk. */
  boot: z.string(),
  /** Whether it came as far as expected. */
  passed: z.boolean(),
  secureBoot: z.enum(SECURE_BOOT_MODES),
  expect: z.string().nullable(),
  /** The furthest that it came. */
  reached: z.enum(BOOT_STAGES),
  /** Each stage and when it was first seen, in seconds from the start of the machine. */
  stages: z.array(z.object({ stage: z.enum(BOOT_STAGES), seconds: z.number() })).readonly(),
  /**
   * Why it ended: enough was seen, a program was refused or could not be started, the initramfs refused the root
   * filesystem, the kernel gave up, systemd asked for help, a file differed from its digest, the root filesystem does
   * not enforce fs-verity or did not say so, setup mode ended without keys, PCRs are not as computed, the machine
   * turned itself off, or time was up.
   */
  end: z.enum([
    "reached",
    "refused",
    "failed",
    "no-root",
    "panic",
    "emergency",
    "corrupted",
    "not-enforced",
    "not-enrolled",
    "pcr-mismatch",
    "off",
    "timeout",
  ]),
  refused: z.object({ by: z.enum(["firmware", "boot-loader"]), file: z.string() }).nullable(),
  /** What the initramfs refused the root filesystem for. */
  problem: z.enum(ROOT_PROBLEMS).nullable(),
  /**
   * What a program or the kernel said about it; of a boot loader that firmware refused, what is wrong
   * with that in the image.
   */
  reason: z.string().nullable(),
  /** What the running system says of its root filesystem. */
  root: z
    .object({
      source: z.string(),
      type: z.string(),
      options: z.array(z.string()).readonly(),
      /** The composefs digest that it shows. */
      digest: z.string().nullable(),
      /** Whether the kernel refuses files that differ from their digest, or have none. */
      enforced: z.boolean(),
    })
    .nullable(),
  /** The kernel's first complaint of a file that differs from its digest. */
  corrupted: z.string().nullable(),
  /** For images. */
  image: z
    .object({
      /** Digests that the UKIs demand. */
      demanded: digests,
      /** Those that the repository on the disk has. */
      stored: digests,
      /** Path of the boot loader in the image, which went to `EFI/BOOT`. */
      loader: z.string(),
      /** Paths of the keys in the image, which went to `loader/keys`. */
      keys: z.array(z.string()).readonly(),
    })
    .nullable(),
  /** The disk that was kept. */
  disk: z.string().nullable(),
  accelerator: z.enum(["kvm", "tcg"]),
  seconds: z.number(),
  /** PCR 0 to 15 of the TPM at the end; null without --swtpm. */
  pcrs: pcrsReportSchema.nullable(),
  /** The last lines of the serial console, without control characters. */
  log: z.array(z.string()).readonly(),
});
export type BootTestReport = z.infer<typeof bootTestReportSchema>;
