/** What was sealed, as report.json and the documents of an image have it. */
import { z } from "zod";
import { SealError } from "../../errors.ts";
import type { Layer } from "../../io/oci/layer.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import type { RecordOf } from "../../lint/image.ts";
import { type LayerStep, layerSteps } from "../../oci/history.ts";
import { parseJsonObject } from "../../oci/json.ts";
import type { StoredImage } from "../../oci/schemas.ts";
import { readRecord } from "../../oci/sealed.ts";
import { type Context, userPath } from "../context.ts";

/** A `TreeRecord`. */
export const treeRecordSchema = z.object({
  entries: z.int(),
  /** In seconds since 1970. */
  newest: z.number(),
  algorithm: z.enum(["sha512", "sha256"]),
  timeless: z.string(),
});

const reportSchema = z.object({
  digests: z.array(z.object({ digest: z.string() })),
  record: treeRecordSchema.nullable(),
});

/**
 * The record of a report.json; null: it has none, as the digest was given.
 * @throws SealError `input` when it can't be read or is another file
 */
export async function readReport(context: Context, file: string): Promise<RecordOf | null> {
  const json = parseJsonObject(await readInput(userPath(context, file), SMALL_FILE), file);
  const parsed = reportSchema.safeParse(json);
  if (!parsed.success) {
    throw new SealError("input", `${file}: is not the report.json of a sealing; seal rootfs writes one`);
  }
  const { record, digests } = parsed.data;
  if (record === null) return null;
  return { ...record, newest: BigInt(Math.trunc(record.newest)), digests: digests.map(({ digest }) => digest) };
}

/** A damaged history yields nothing. */
export function stepsOf({ documents, layers }: StoredImage<Layer>, subject: string): readonly (LayerStep | null)[] {
  try {
    return layerSteps(documents.config, layers.length, subject);
  } catch (error) {
    if (error instanceof SealError) return [];
    throw error;
  }
}

/** What the annotations of a manifest remember. */
export function recordOf({ documents }: StoredImage<Layer>): RecordOf | null {
  const annotations = documents.manifest?.["annotations"] ?? {};
  const texts = Object.entries(annotations).flatMap(([key, text]) => (typeof text === "string" ? [[key, text]] : []));
  return readRecord(Object.fromEntries(texts));
}
