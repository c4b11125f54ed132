/** The files of an image on this disk: those of a layout, or the members of an archive. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { isSystemError, reasonOf } from "../files.ts";
import type { Member } from "../tar/members.ts";
import { type StoredFile, wholeFile } from "./stored-file.ts";

/** Finds files by their names, `blobs/sha256/…`. */
export interface FileStore {
  /** The layout or archive as the user called it. */
  readonly subject: string;
  /**
   * @throws SealError `input` when there is no regular file of that name
   */
  readonly find: (name: string) => Promise<StoredFile>;
}

/** The kinds of images that are files on this disk. */
export type StoreKind = "oci" | "oci-archive" | "docker-archive";

/** Links between the members of an archive that are followed. */
const LINK_LIMIT = 8;

/**
 * The files of an image layout, or of an archive of images.
 * @param path absolute
 * @throws SealError `input` when it is a file in place of a directory or the other way round, or no archive
 */
export async function openStore(kind: StoreKind, subject: string, path: string): Promise<FileStore> {
  const stats = await stat(path).catch((error: unknown) => {
    throw isSystemError(error) ? inputError(subject, `can't be read: ${reasonOf(error)}`, error) : error;
  });
  if (kind !== "oci") {
    if (stats.isDirectory()) throw inputError(subject, "is a directory; for an OCI layout give oci:PATH");
    return archiveStore(subject, path);
  }
  if (!stats.isDirectory()) {
    throw inputError(
      subject,
      "is not the directory of an OCI layout; for an archive give oci-archive:FILE or docker-archive:FILE",
    );
  }
  if (!existsSync(join(path, "oci-layout"))) {
    throw inputError(subject, "is not an OCI layout: it has no file oci-layout; for a root filesystem give dir:PATH");
  }
  return { subject, find: async (name) => wholeFile(`${subject}: ${name}`, join(path, name)) };
}

/**
 * The members of an uncompressed tar archive.
 * @param path absolute
 * @throws SealError `input` when it is none
 */
async function archiveStore(subject: string, path: string): Promise<FileStore> {
  // Layouts need no library for archives.
  const { archiveKey, listArchive } = await import("../tar/members.ts");
  const members = await listArchive(await wholeFile(subject, path));
  const find = (name: string): Member & { kind: "file" } => {
    let key = name;
    for (let followed = 0; followed <= LINK_LIMIT; followed++) {
      const member = members.get(key);
      if (member?.kind === "file") return member;
      if (member === undefined) break;
      key = member.target;
    }
    throw inputError(subject, `has no file ${name}; ${otherKind(name, members)}`);
  };
  return {
    subject,
    find: async (name) => {
      const { start, size } = find(archiveKey(Buffer.from(name)));
      return { subject: `${subject}: ${name}`, path, start, size };
    },
  };
}

/** What an archive without the file that shows its kind may be. */
function otherKind(missing: string, members: ReadonlyMap<string, Member>): string {
  if (missing === "oci-layout" && members.has("manifest.json")) {
    return "it is an archive of docker save: give docker-archive:FILE";
  }
  if (missing === "manifest.json" && members.has("oci-layout")) return "it is an OCI archive: give oci-archive:FILE";
  if ([...members.keys()].some((key) => key.startsWith("usr/"))) return "for a root filesystem give tar:FILE";
  return "it is damaged or not an image archive";
}
