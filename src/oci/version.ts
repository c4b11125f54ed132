/** The version of an image. */
import type { Annotations } from "./edit.ts";
import { objectOf } from "./json.ts";
import type { StoredImage } from "./schemas.ts";

/** OCI image specification, "Pre-Defined Annotation Keys"; images have it as a label mostly. */
const VERSION = "org.opencontainers.image.version";
/** The label that was there before. */
const OLD_LABEL = "version";

/**
 * The annotation from which `bootc status` takes the version of a sealed image: it looks nowhere else
 * (crates/lib/src/bootc_composefs/status.rs). None where the manifest has it already. The labels come first, in the
 * order in which bootc looks at them in images without a UKI (crates/ostree-ext/src/container/mod.rs,
 * `version_for_config`).
 * @param system version of the operating system in the image; null: not known
 * @throws SealError `input` for a damaged manifest, naming `subject`
 */
export function versionAnnotation(
  { config, documents }: Pick<StoredImage<unknown>, "config" | "documents">,
  system: string | null,
  subject: string,
): Annotations {
  const annotations = objectOf(documents.manifest?.["annotations"], `${subject}: annotations`);
  if (Object.hasOwn(annotations, VERSION)) return {};
  const labels = config.config?.Labels ?? {};
  const version = [labels[VERSION], labels[OLD_LABEL], system].find((one) => one);
  return typeof version === "string" ? { [VERSION]: version } : {};
}
