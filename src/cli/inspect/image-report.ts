/** What a container image is, as data: the `--json` output of `seal inspect`, and what its picture is drawn from. */
import { z } from "zod";
import { SealError } from "../../errors.ts";
import { namedImage } from "../../io/oci/named-image.ts";
import { openRootfs } from "../../io/rootfs.ts";
import type { ImageSource, OpenedImage } from "../../io/rootfs-source.ts";
import { type BootProgram, findPrograms, readProgram } from "../../lint/boot-programs.ts";
import { formatBlobDigest } from "../../oci/digest.ts";
import type { JsonObject } from "../../oci/json.ts";
import { formatPlatform } from "../../oci/platform.ts";
import type { Context } from "../context.ts";
import type { RegistryOptions } from "../options/registry.ts";
import { stepsOf } from "../sealing/record.ts";
import { startScan } from "../terminal/progress.ts";
import { describePe, peReportSchema } from "./pe-report.ts";

const programSchema = z.object({
  path: z.string(),
  role: z.enum(["uki", "loader", "addon", "misplaced", "other"]),
  /** Why no more is known about it. */
  problem: z.string().nullable(),
  program: peReportSchema
    .pick({
      type: true,
      size: true,
      arch: true,
      sha256: true,
      kver: true,
      cmdline: true,
      composefs: true,
      signatures: true,
    })
    .nullable(),
});

export const inspectImageReportSchema = z.object({
  file: z.string(),
  type: z.literal("image"),
  /** Of its manifest; null: it has none. */
  digest: z.string().nullable(),
  platform: z.string(),
  /** The images of its index; empty where it has none. */
  platforms: z.array(z.object({ platform: z.string(), digest: z.string() })),
  /** Whether it has a UKI that names a composefs digest; whether that is the right one, `seal lint` says. */
  sealed: z.boolean(),
  config: z.object({
    digest: z.string().nullable(),
    created: z.string().nullable(),
    /** Entry point and command. */
    command: z.array(z.string()),
    annotations: z.record(z.string(), z.string()),
  }),
  /** Those that say what the image is. */
  labels: z.record(z.string(), z.string()),
  annotations: z.record(z.string(), z.string()),
  /** Lowest first. */
  layers: z.array(
    z.object({
      digest: z.string().nullable(),
      diffId: z.string().nullable(),
      /** As it is stored. */
      size: z.int(),
      mediaType: z.string().nullable(),
      createdBy: z.string().nullable(),
    }),
  ),
  /** The EFI programs of its `/boot`. */
  programs: z.array(programSchema),
});
export type InspectImageReport = z.infer<typeof inspectImageReportSchema>;

/** What bootc, builders and sealing say about an image. */
const TELLING = /^(?:containers\.bootc|ostree\.|composefs\.|seal\.|org\.opencontainers\.image\.)/;

/**
 * @param options which image of several, and how it is fetched
 * @throws SealError as `openRootfs`
 */
export async function inspectImage(
  context: Context,
  source: ImageSource,
  options: RegistryOptions & { readonly platform?: string | undefined },
): Promise<InspectImageReport> {
  const { cwd, now } = context.process;
  const choice = { cwd, remote: context.remote(options), platform: options.platform };
  const { digest, platforms } = await namedImage(source, choice);
  const { onProgress, done } = startScan(context, `reading ${source.subject}`);
  const opened = await openRootfs(source, { ...choice, algorithm: null, xattrs: [], onProgress });
  done(opened.stats);
  const { image, rootfs } = opened;
  const programs = [];
  for (const place of findPrograms(rootfs))
    programs.push(await describeProgram(await readProgram(rootfs, place), now()));
  const named = programs.some(({ role, program }) => role === "uki" && (program?.composefs.digests.length ?? 0) > 0);
  const { config, manifest } = image.documents;
  const run = objectIn(config, "config");
  const descriptor = objectIn(manifest ?? {}, "config");
  return inspectImageReportSchema.parse({
    file: source.subject,
    type: "image",
    digest,
    platform: formatPlatform(image.config),
    platforms,
    sealed: named,
    config: {
      digest: textIn(descriptor, "digest"),
      created: textIn(config, "created"),
      command: [...textsIn(run, "Entrypoint"), ...textsIn(run, "Cmd")],
      annotations: telling(objectIn(descriptor, "annotations")),
    },
    labels: telling(objectIn(run, "Labels")),
    annotations: telling(objectIn(manifest ?? {}, "annotations")),
    layers: layersOf(opened, source.subject),
    programs,
  });
}

function layersOf({ image }: OpenedImage, subject: string): InspectImageReport["layers"] {
  const steps = stepsOf(image, subject);
  return image.layers.map(({ digest, diffId, mediaType, file }, index) => ({
    digest: digest === null ? null : formatBlobDigest(digest),
    diffId: diffId === null ? null : formatBlobDigest(diffId),
    size: file.size,
    mediaType,
    createdBy: steps[index]?.createdBy ?? null,
  }));
}

async function describeProgram(program: BootProgram, now: Date): Promise<z.input<typeof programSchema>> {
  const { path, role } = program;
  switch (program.kind) {
    case "symlink":
      return { path, role, problem: `is a symlink to ${program.target}`, program: null };
    case "broken":
      return { path, role, problem: program.reason, program: null };
    case "program":
      try {
        return { path, role, problem: null, program: await describePe(program.pe, path, now) };
      } catch (error) {
        if (!(error instanceof SealError)) throw error;
        return { path, role, problem: error.message, program: null };
      }
  }
}

/** Documents are shown as they are: what is of another type than it should be is left out. */
function objectIn(object: JsonObject, key: string): JsonObject {
  const value = object[key];
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};
}

function textIn(object: JsonObject, key: string): string | null {
  const value = object[key];
  return typeof value === "string" ? value : null;
}

function textsIn(object: JsonObject, key: string): string[] {
  const value = object[key];
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function telling(object: JsonObject): Record<string, string> {
  const texts = Object.entries(object).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return Object.fromEntries(texts.filter(([key]) => TELLING.test(key)));
}
