/** Where an image is written to. */
import { resolve } from "node:path";
import { SealError } from "../../errors.ts";
import { likelyMeant, parseReference } from "../../oci/reference.ts";

/** Where an image is written: a layout, an archive, a registry or a store. */
export type ImageTarget = LayoutTarget | RemoteTarget;

interface Named {
  /** As the user wrote it. */
  readonly subject: string;
}

/** An OCI image layout: a directory, or an archive of one. */
export interface LayoutTarget extends Named {
  readonly kind: "oci" | "oci-archive";
  /** Absolute. */
  readonly path: string;
  readonly tag: string | null;
  /** Whether it is there for a while only: what it holds need not be its own. */
  readonly isTemporary?: boolean;
}

/** A registry or a store, to which skopeo takes the image. {@link Named.subject} is what skopeo takes. */
export interface RemoteTarget extends Named {
  readonly kind: "docker" | "containers-storage" | "docker-daemon";
}

/** OCI image specification, "Pre-Defined Annotation Keys", `org.opencontainers.image.ref.name`. */
const COMPONENT = "[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*";
const TAG = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);

/** The kinds of `--to`, for messages and help. */
export const TARGET_KINDS =
  "oci:PATH[:TAG], oci-archive:FILE[:TAG], docker://REF, containers-storage:REF or docker-daemon:REF:TAG";

/**
 * Parses what names a target. The path of a layout ends at its first colon, as container tools have it.
 * @param option that it belongs to, for messages
 * @param cwd where relative paths start
 * @throws SealError `usage` for anything else
 */
export function parseImageTarget(text: string, option: string, cwd: string): ImageTarget {
  const [, kind, rest = ""] = /^(docker:\/\/|docker-daemon:|containers-storage:)(.*)$/s.exec(text) ?? [];
  if (kind !== undefined) return remoteTarget(kind.replace(/:.*/, ""), rest, text, option);
  const [, layout, path, tag] = /^(oci|oci-archive):([^:]+)(?::(.+))?$/s.exec(text) ?? [];
  if (path === undefined || (layout !== "oci" && layout !== "oci-archive")) {
    const meant = likelyMeant(text);
    const problem =
      meant === null ? `images are written to ${TARGET_KINDS}` : `names no destination; probably ${meant}`;
    throw new SealError("usage", `${option} ${text}: ${problem}`);
  }
  if (tag !== undefined && !TAG.test(tag)) {
    throw new SealError(
      "usage",
      `${option} ${text}: "${tag}" is not a tag; letters, digits and single . _ - : @ + / between them are`,
    );
  }
  return { kind: layout, path: resolve(cwd, path), tag: tag ?? null, subject: text };
}

/**
 * The full name of an image in a registry or store, for comparing: what was left out is there, and which store it is.
 * @param subject as skopeo takes it
 * @returns null where it has no name, or a digest: that is one image for ever
 */
export function remoteReference(subject: string): string | null {
  const [, place = "", name = ""] = /^([a-z-]+:(?:\/\/)?(?:\[[^\]]*\])?)(.*)$/s.exec(subject) ?? [];
  const parsed = parseReference(name);
  return parsed === null || parsed.digest !== null ? null : `${place}${parsed.name}:${parsed.tag ?? "latest"}`;
}

/** What skopeo would refuse is found here, before the image is made. */
function remoteTarget(kind: string, rest: string, subject: string, option: string): RemoteTarget {
  const refused = (problem: string) => new SealError("usage", `${option} ${subject}: ${problem}`);
  const name = kind === "containers-storage" ? rest.replace(/^\[[^\]]*\]/, "") : rest;
  const parsed = parseReference(name);
  if (parsed === null) {
    throw refused(`"${name}" is not an image name; give HOST/NAME:TAG, the name in lower case`);
  }
  if (parsed.digest !== null)
    throw refused("names the image by digest, which a new image does not have yet; give a tag");
  switch (kind) {
    case "docker":
    case "containers-storage":
      return { kind, subject };
    default:
      if (parsed.tag === null) throw refused("docker's daemon requires a tag; give NAME:TAG");
      return { kind: "docker-daemon", subject };
  }
}

/** Whether an image is in its own layout, rather than where skopeo takes it. */
export function isLayout(target: ImageTarget): target is LayoutTarget {
  return "path" in target;
}

/**
 * Refuses several platforms for a place that holds one image by a name.
 * @throws SealError `usage`
 */
export function refuseIndex({ kind, subject }: ImageTarget): void {
  if (kind !== "containers-storage" && kind !== "docker-daemon") return;
  const what = kind === "docker-daemon" ? "docker's daemon stores" : "containers-storage stores";
  throw new SealError(
    "usage",
    `${subject}: ${what} the image of one platform only; choose it with --platform, or give docker:// or oci:`,
  );
}
