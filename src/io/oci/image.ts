/** Opens container images and archives of root filesystems. */
import { resolve } from "node:path";
import { SealError } from "../../errors.ts";
import { type Platform, parsePlatform } from "../../oci/platform.ts";
import type { StoredImage } from "../../oci/schemas.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import type { ImageSpec, OpenedRootfs, OpenOptions, RemoteSpec } from "../rootfs-source.ts";
import { together } from "../together.ts";
import { dockerImage } from "./docker-archive.ts";
import { openStore } from "./file-store.ts";
import type { Layer } from "./layer.ts";
import { openLayers } from "./layers.ts";
import { type ImageChoice, layoutImage } from "./oci-layout.ts";
import { wholeFile } from "./stored-file.ts";

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
  const open = (layers: readonly Layer[], view: Rootfs["view"], signal?: AbortSignal) =>
    openLayers(layers, { paxOwners: "count", ...options, label, view, ...(signal === undefined ? {} : { signal }) });
  const local = await localImage(spec, label, options);
  const path = resolve(options.cwd, local.path);
  if (local.kind === "tar") {
    const file = await wholeFile(label, path);
    return open([{ file, digest: null, diffId: null, negativeTimes: true }], "mounted");
  }
  const image = await findImage(local, label, path, options);
  const { layers } = image;
  const { meanwhile } = options;
  const [opened] = await together(
    (signal) => open(layers, "layers", signal),
    async (signal) => meanwhile?.(layers, signal),
  );
  return { ...opened, image };
}

/**
 * An image without its tree: configuration and manifest, and its layers unread.
 * @param label the whole argument
 * @throws SealError as {@link openImage}
 */
export async function openStoredImage(
  spec: Exclude<ImageSpec, { kind: "tar" }>,
  label: string,
  options: Pick<OpenOptions, "cwd" | "remote" | "platform">,
): Promise<StoredImage<Layer>> {
  const local = await localImage(spec, label, options);
  if (local.kind === "tar") throw new Error("an archive of a root filesystem is no image");
  return findImage(local, label, resolve(options.cwd, local.path), options);
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

async function findImage(
  spec: Exclude<LocalSpec, { kind: "tar" }>,
  label: string,
  path: string,
  options: Pick<OpenOptions, "platform">,
): Promise<StoredImage<Layer>> {
  const choice = choiceOf(spec.reference, options);
  const store = await openStore(spec.kind, label, path);
  return spec.kind === "docker-archive" ? dockerImage(store, choice) : layoutImage(store, choice);
}

/** @throws SealError `usage` for a platform that is none */
export function choiceOf(reference: string | null, { platform }: Pick<OpenOptions, "platform">): ImageChoice {
  const platformGiven = platform !== undefined;
  return { reference, platform: platformGiven ? parsePlatform(platform) : thisPlatform(), platformGiven };
}

/** Linux on this machine. */
export function thisPlatform(): Platform {
  return { os: "linux", architecture: ARCHITECTURES[process.arch] ?? process.arch };
}
