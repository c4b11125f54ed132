/**
 * The JSON of container images, as far as reading a root filesystem needs it: OCI image index, manifest and
 * configuration (OCI image specification 1.1), Docker's manifest list and manifest (schema 2) of the same shape, and
 * the `manifest.json` of `docker save`. Anything else in them is ignored.
 */
import { z } from "zod";
import { inputError } from "../errors.ts";
import { type BlobDigest, parseBlobDigest } from "./digest.ts";
import type { JsonObject } from "./json.ts";

/** Larger JSON is refused; the specification asks registries to take 4 MiB. */
export const JSON_LIMIT = 4 << 20;

const digest = z.string().transform((text, context): BlobDigest => {
  const parsed = parseBlobDigest(text);
  if (parsed !== null) return parsed;
  context.addIssue({ code: "custom", message: "is not a sha256 or sha512 digest" });
  return z.NEVER;
});

/** Go's encoder writes null for an empty list. */
function listOf<Item extends z.ZodType>(item: Item) {
  return z
    .array(item)
    .nullable()
    .transform((list) => list ?? []);
}

const variant = z
  .string()
  .nullish()
  .transform((text) => text ?? undefined);

const platform = z.object({ os: z.string(), architecture: z.string(), variant });

const descriptor = z.object({
  mediaType: z.string(),
  digest,
  size: z.int().min(0),
  platform: platform.nullish().transform((found) => found ?? undefined),
  annotations: z.record(z.string(), z.string()).nullish(),
  /** Of a manifest that is not an image. */
  artifactType: z.string().nullish(),
});
/** What points at a blob. */
export type Descriptor = z.infer<typeof descriptor>;

const index = z.object({ schemaVersion: z.literal(2), manifests: listOf(descriptor) });
export type ImageIndex = z.infer<typeof index>;

const manifest = z.object({ schemaVersion: z.literal(2), config: descriptor, layers: listOf(descriptor) });
export type ImageManifest = z.infer<typeof manifest>;

const config = z.object({
  os: z.string().default(""),
  architecture: z.string().default(""),
  variant,
  config: z.object({ Labels: z.record(z.string(), z.string()).nullish() }).nullish(),
  rootfs: z.object({ type: z.literal("layers"), diff_ids: listOf(digest) }),
});
/** The configuration document of an OCI image. */
export type ImageConfig = z.infer<typeof config>;

/** What of an image is not in its tree: its documents, and its layers as they are stored. */
export interface StoredImage<Layer> {
  readonly config: ImageConfig;
  /** The same with everything that seal does not know, and the manifest; null if the format has none. */
  readonly documents: { readonly config: JsonObject; readonly manifest: JsonObject | null };
  /** Lowest first. */
  readonly layers: readonly Layer[];
}

const dockerSave = z.array(
  z.object({
    Config: z.string(),
    RepoTags: z.array(z.string()).nullish(),
    Layers: z.array(z.string()),
  }),
);
/** One image of a `docker save` archive; the paths are of files in the archive. */
export type DockerSaveImage = z.infer<typeof dockerSave>[number];

const layout = z.object({ imageLayoutVersion: z.literal("1.0.0") });

/** @throws SealError `input` for anything else, naming `subject` and the place in it; so do all of these */
export function parseIndex(bytes: Uint8Array, subject: string): ImageIndex {
  return parse(index, bytes, subject, "an image index");
}

export function parseManifest(bytes: Uint8Array, subject: string): ImageManifest {
  return parse(manifest, bytes, subject, "an image manifest");
}

export function parseConfig(bytes: Uint8Array, subject: string): ImageConfig {
  return parse(config, bytes, subject, "an image configuration");
}

export function parseDockerSave(bytes: Uint8Array, subject: string): readonly DockerSaveImage[] {
  return parse(dockerSave, bytes, subject, "the manifest of a docker archive");
}

export function checkLayoutMarker(bytes: Uint8Array, subject: string): void {
  parse(layout, bytes, subject, "an OCI layout of version 1.0.0");
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array, subject: string, what: string): T {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw inputError(subject, `is not valid JSON; expected ${what}`, error);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue?.path.join(".") ?? "";
  throw inputError(subject, `is not ${what}: ${place === "" ? "" : `${place}: `}${issue?.message ?? ""}`);
}
