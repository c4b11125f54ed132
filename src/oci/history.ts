/** What the history of a configuration says about its layers (OCI image specification 1.1, "Image Configuration"). */
import { arrayOf, type Json, type JsonObject, objectOf } from "./json.ts";

/** What made each layer, see {@link layerSteps}; null where it is unknown. */
export function layerCommands(config: JsonObject, count: number, subject: string): readonly (string | null)[] {
  return layerSteps(config, count, subject).map((step) => step?.createdBy ?? null);
}

/** The step of a build that made a layer, as far as the history says. */
export interface LayerStep {
  /** RFC 3339. */
  readonly created: string | null;
  readonly createdBy: string | null;
  readonly comment: string | null;
}

/**
 * The steps that made the layers, according to the history of a configuration; null where it doesn't say. A history
 * with another number of layers says nothing.
 * @param count of its layers
 * @param subject the configuration in messages
 * @throws SealError `input` when it is damaged
 */
export function layerSteps(config: JsonObject, count: number, subject: string): readonly (LayerStep | null)[] {
  const history = arrayOf(config["history"], `${subject}: history`).map((entry) =>
    objectOf(entry, `${subject}: history`),
  );
  const filled = history.filter((entry) => entry["empty_layer"] !== true);
  return Array.from({ length: count }, (_, index) => {
    const entry = filled.length === count ? filled[index] : undefined;
    if (entry === undefined) return null;
    const textOf = (key: string) => textOrNull(entry[key]);
    return { created: textOf("created"), createdBy: textOf("created_by"), comment: textOf("comment") };
  });
}

function textOrNull(value: Json | undefined): string | null {
  return typeof value === "string" ? value : null;
}

/** Programs that build images from Containerfiles. Docker has BuildKit, podman has buildah. */
export type Builder = "buildkit" | "buildah";

/** Which one made a layer; null: the history does not show it. */
export function builderOf(step: LayerStep | null): Builder | null {
  if (step?.comment?.startsWith("buildkit.") === true || step?.createdBy?.endsWith("# buildkit") === true) {
    return "buildkit";
  }
  return step?.createdBy?.includes("#(nop)") === true ? "buildah" : null;
}
