/**
 * Names of images in registries and container stores, as container tools spell them: `quay.io/fedora/fedora-bootc:43`
 * (distribution specification, "Pull").
 */

const ALNUM = "[a-z0-9]+";
const COMPONENT = `${ALNUM}(?:(?:\\.|_|__|-+)${ALNUM})*`;
const HOST = "(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\\[[0-9a-fA-F:]+\\])(?::\\d{1,5})?";
const TAG = "\\w[\\w.-]{0,127}";
const REFERENCE = new RegExp(
  `^((?:${HOST}/)?${COMPONENT}(?:/${COMPONENT})*)(?::(${TAG}))?(?:@([a-z0-9+._-]+:[0-9a-fA-F]{32,}))?$`,
);

/** A tag that is hardly anything else. */
const VERSION = /^(?:latest|v?\d.*)$/;
/** What precedes the colon of a source or target is not a name. */
const KINDS = /^(?:dir|tar|erofs|dumpfile|oci|oci-archive|docker|docker-archive|docker-daemon|containers-storage):/;

/** A name, taken apart. */
export interface Reference {
  /** With the registry, `docker.io` and `library/` too where they were left out. */
  readonly name: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

/** @returns null for what no registry would take */
export function parseReference(text: string): Reference | null {
  const [, name, tag = null, digest = null] = REFERENCE.exec(text) ?? [];
  return name === undefined ? null : { name: fullName(name), tag, digest };
}

/** What a registry and Docker add to a name. */
function fullName(name: string): string {
  const [first = "", ...rest] = name.split("/");
  if (rest.length > 0 && isHost(first)) {
    const host = first === "index.docker.io" ? "docker.io" : first;
    const isOfficial = host === "docker.io" && rest.length === 1;
    return [host, ...(isOfficial ? ["library"] : []), ...rest].join("/");
  }
  return `docker.io/${rest.length === 0 ? "library/" : ""}${name}`;
}

/** Whether the first part of a name is a registry: Docker's rule. */
function isHost(text: string): boolean {
  return /[.:A-Z]/.test(text) || text === "localhost";
}

/**
 * What was probably meant by a text that is the name of an image but not said to be one, to be given to people; null:
 * it looks like no such name. A path of a directory may look the same.
 */
export function likelyMeant(text: string): string | null {
  const reference = KINDS.test(text) ? null : parseReference(text);
  if (reference === null) return null;
  const [first = "", second] = text.split("/");
  const hasHost = second !== undefined && isHost(first);
  // Other words before a colon are rather kinds of sources that there are not: `ftp:x`.
  const isTagged = second === undefined ? VERSION.test(reference.tag ?? "") : reference.tag !== null;
  if (!hasHost && !isTagged && reference.digest === null) return null;
  const image =
    first === "localhost" ? `containers-storage:${text} (what podman built)` : `docker://${text} (registry)`;
  return `${image} or oci:${text} (layout)`;
}
