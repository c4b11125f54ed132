/**
 * What an image is: the predicate of seal's own. Everything in it can be computed again from the image, and what a
 * firmware adds (PCR 4 and 7) from the image and its keys. docs/sealed-image-v1.schema.json is made of this
 * declaration. A change that readers of version 1 would neither refuse nor understand needs a new version.
 */
import { z } from "zod";
import { REASONS } from "../boot/hosts.ts";
import { PCR_BANKS } from "../pe/pcr-events.ts";

const SEALED_IMAGE = "tag:seal,2026:sealed-image/";
/** The predicate type of a statement about a sealed image. */
export const SEALED_IMAGE_TYPE = `${SEALED_IMAGE}v1`;

/** Whether a predicate is one of seal's, of this version or another. */
export function isSealedImageType(predicateType: string): boolean {
  return predicateType.startsWith(SEALED_IMAGE);
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const answer = z.boolean().nullable();
// Lists that are never empty for an image must not be empty here: an empty one would be true of every image.
const bankValues = z
  .partialRecord(z.enum(PCR_BANKS), z.string().regex(/^[0-9a-f]+$/))
  .refine((values) => Object.keys(values).length > 0, "is empty: it has no value for any bank")
  .meta({ minProperties: 1 });
const VARIABLES = ["PK", "KEK", "db", "dbx"] as const;

const digest = z.strictObject({
  /** fs-verity digest of the EROFS image, hex. */
  digest: z.string().regex(/^[0-9a-f]+$/),
  algorithm: z.enum(["sha256", "sha512"]),
  /** Format of the EROFS image; null: the command line does not say. */
  erofs: z.enum(["v1", "v2"]).nullable(),
  /** It has a leading `?`: the root is mounted without fs-verity too. */
  insecure: z.boolean(),
  /** bootc releases whose rules give this digest for the layers; none for a format that no release uses. */
  computedBy: z.array(z.string()),
});

const verdict = z.strictObject({
  /** bootc releases that do the same. */
  releases: z.array(z.string()).min(1, "is empty: it names no bootc release"),
  accepts: answer,
  installs: answer,
  boots: answer,
  /** Whether fs-verity is enforced; null, as in the others: it depends on the machine, or an earlier step fails. */
  enforces: answer,
  reasons: z.array(z.enum(REASONS)),
});

const program = z.strictObject({
  /** In the image: `boot/EFI/Linux/6.12.efi`. */
  path: z.string(),
  sha256,
  /** The Authenticode hash of SHA-256: the same whoever signs. */
  authentihash: sha256,
  /** Lines of `.sbat`; null: it has none. */
  sbat: z.array(z.string()).nullable(),
  /** What it says of itself: `systemd-boot 257.13`. */
  version: z.string().nullable(),
  /** Who signed it, in the order of the file. */
  signatures: z.array(z.strictObject({ subject: z.string(), certificate: sha256, intact: z.boolean() })),
});

const uki = z.strictObject({
  /** Of {@link program}. */
  path: z.string(),
  kernel: z.string().nullable(),
  osRelease: z.record(z.string(), z.string()).nullable(),
  /** One for each profile that has its own, the base first. */
  cmdlines: z.array(z.string()),
  composefs: z.array(digest),
  /** One list for each command line that names other digests. */
  hosts: z.array(z.array(verdict).min(1, "is empty: it has no verdict of any bootc release")),
});

const pcr = z.strictObject({
  pcr: z.union([z.literal(4), z.literal(7), z.literal(11), z.literal(12)]),
  /** When the kernel starts, hex. */
  values: bankValues,
  /** What extends it until then, in order; descriptions are for people and not compared. */
  events: z.array(z.strictObject({ type: z.string(), description: z.string(), digests: bankValues })),
  /** What the booting system makes of it; of PCR 11. */
  phases: z.array(z.strictObject({ phase: z.string(), values: bankValues })),
  /** What must be so for that to hold, in sentences for people; not compared. */
  assumes: z.array(z.string()),
});

const boot = z.strictObject({
  uki: z.string(),
  /** Null: firmware starts the UKI itself. */
  bootLoader: z.string().nullable(),
  addons: z.array(z.string()),
  /** 0: the base. */
  profile: z.int(),
  profileId: z.string().nullable(),
  devicetree: z.int().nullable(),
  pcrs: z.array(pcr).min(1, "is empty: it says nothing about what is measured"),
  /** PCRs that are not stated, and why. */
  omitted: z.array(z.strictObject({ pcr: z.int(), reason: z.string() })),
});

export const sealedImageSchema = z.strictObject({
  /** `os/architecture[/variant]`. */
  platform: z.string(),
  /** All EFI programs in /boot, and systemd-boot in /usr, which bootc installs. */
  programs: z.array(program).min(1, "is empty, and a sealed image has programs"),
  ukis: z.array(uki).min(1, "is empty, and a sealed image has a UKI"),
  /** The keys that PCR 4 and 7 are for; null: none were given. */
  firmware: z
    .strictObject({
      /** Whether Secure Boot enforces signatures. */
      enforced: z.boolean(),
      /** SHA-256 of the variables, by name; of one that does not exist, that of no bytes. */
      variables: z
        .record(z.string(), sha256)
        .refine((variables) => VARIABLES.every((name) => Object.hasOwn(variables, name)), {
          error: `lacks one of ${VARIABLES.join(", ")}, which all firmware measures`,
        })
        .meta({ required: VARIABLES }),
    })
    .nullable(),
  /** Each way to boot. */
  boots: z.array(boot).min(1, "is empty, and a sealed image boots"),
});
/** The predicate. */
export type StatedImage = z.infer<typeof sealedImageSchema>;
export type StatedProgram = z.infer<typeof program>;
export type StatedUki = z.infer<typeof uki>;
export type StatedBoot = z.infer<typeof boot>;
export type StatedVerdict = z.infer<typeof verdict>;

/** The JSON Schema of the predicate (draft 2020-12). */
export function sealedImageJsonSchema(): object {
  return { ...z.toJSONSchema(sealedImageSchema), $id: SEALED_IMAGE_TYPE, title: "What a sealed image is" };
}
