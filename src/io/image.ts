/** Opens container images and archives of root filesystems. */
import { type Platform, parsePlatform } from "../oci/platform.ts";
import { dockerLayers } from "./docker-archive.ts";
import type { Layer } from "./layer.ts";
import { openLayers } from "./layers.ts";
import { type ImageChoice, layoutLayers } from "./oci-layout.ts";
import type { ImageSpec, OpenedRootfs, OpenOptions } from "./rootfs.ts";
import { archiveStore, directoryStore, wholeFile } from "./stored-file.ts";

/** Node's names of architectures as Go has them. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  ppc64: "ppc64le",
  loong64: "loong64",
};

/**
 * @param label the whole argument
 * @param path the absolute path of what `spec` names
 * @throws SealError `input` for what is damaged, hostile or lacks the image; `usage` for a platform that is none
 */
export async function openImage(
  spec: ImageSpec,
  label: string,
  path: string,
  options: OpenOptions,
): Promise<OpenedRootfs> {
  const layers = await findLayers(spec, label, path, options);
  return openLayers(layers, {
    paxOwners: "count",
    ...options,
    label,
    view: spec.kind === "tar" ? "mounted" : "layers",
  });
}

async function findLayers(
  spec: ImageSpec,
  label: string,
  path: string,
  options: OpenOptions,
): Promise<readonly Layer[]> {
  switch (spec.kind) {
    case "tar":
      return [{ file: await wholeFile(label, path), digest: null, diffId: null, negativeTimes: true }];
    case "oci":
      return layoutLayers(directoryStore(label, path), choiceOf(spec.reference, options));
    case "oci-archive":
      return layoutLayers(await archiveStore(label, path), choiceOf(spec.reference, options));
    case "docker-archive":
      return dockerLayers(await archiveStore(label, path), choiceOf(spec.reference, options));
  }
}

function choiceOf(reference: string | null, { platform }: OpenOptions): ImageChoice {
  const platformGiven = platform !== undefined;
  return { reference, platform: platformGiven ? parsePlatform(platform) : thisPlatform(), platformGiven };
}

function thisPlatform(): Platform {
  return { os: "linux", architecture: ARCHITECTURES[process.arch] ?? process.arch };
}
