/** Opens container images and archives of root filesystems. */
import { resolve } from "node:path";
import { SealError } from "../errors.ts";
import { type Platform, parsePlatform } from "../oci/platform.ts";
import { dockerLayers } from "./docker-archive.ts";
import type { Layer } from "./layer.ts";
import { openLayers } from "./layers.ts";
import { type ImageChoice, layoutLayers } from "./oci-layout.ts";
import type { ImageSpec, OpenedRootfs, OpenOptions, RemoteSpec } from "./rootfs.ts";
import { archiveStore, directoryStore, wholeFile } from "./stored-file.ts";

export type LocalSpec = Exclude<ImageSpec, RemoteSpec>;

/** Node's names of architectures as Go has them. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  ppc64: "ppc64le",
  loong64: "loong64",
};

/**
 * @param label the whole argument
 * @throws SealError `input` for what is damaged, hostile or lacks the image; `usage` for a platform that is none; as
 *   {@link localImage} does
 */
export async function openImage(spec: ImageSpec, label: string, options: OpenOptions): Promise<OpenedRootfs> {
  const layers = await findLayers(await localImage(spec, label, options), label, options);
  return openLayers(layers, {
    paxOwners: "count",
    ...options,
    label,
    view: spec.kind === "tar" ? "mounted" : "layers",
  });
}

/**
 * An image that lies on this disk: the one that was named, or a copy of it.
 * @param label the whole argument
 * @throws SealError as {@link RemoteImages.layout} does
 */
export async function localImage(
  spec: ImageSpec,
  label: string,
  { remote, platform }: Pick<OpenOptions, "remote" | "platform">,
): Promise<LocalSpec> {
  if (!isRemote(spec)) return spec;
  if (remote === undefined) {
    throw new SealError("usage", `${label}: is not on this disk; copy it with skopeo and give oci:PATH`);
  }
  const path = await remote.layout(label, platform === undefined ? null : parsePlatform(platform));
  return { kind: "oci", path, reference: null };
}

function isRemote(spec: ImageSpec): spec is RemoteSpec {
  return spec.kind === "docker" || spec.kind === "containers-storage";
}

async function findLayers(spec: LocalSpec, label: string, options: OpenOptions): Promise<readonly Layer[]> {
  const path = resolve(options.cwd, spec.path);
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
