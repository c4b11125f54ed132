/**
 * One entry of a tar archive with the extended headers before it. Byte for byte: tar libraries read names and xattrs as
 * UTF-8, which destroys all others, and accept much that container tools refuse.
 */
import { inputError } from "../../errors.ts";
import type { LayerEntry } from "../../tree/build.ts";
import { combineEntry, type Extensions } from "./entry.ts";
import { ownBytes, parseHeader, type TarHeader } from "./header.ts";
import { METADATA_LIMIT, parsePax } from "./pax.ts";

export interface EntryOptions {
  /** Names the archive in messages. */
  readonly subject: string;
  readonly negativeTimes: boolean;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
}

/** What a header block is: that of an entry, or of an extended header that belongs to a following entry. */
export interface HeaderBlock {
  /** Null: an extended header. */
  readonly entry: LayerEntry<bigint> | null;
  /** Bytes that follow, without padding. */
  readonly size: number;
}

/** Puts the headers of entries together, one after the other. */
export class EntryHeaders {
  readonly #options: EntryOptions;
  #extensions: Extensions = NO_EXTENSIONS;
  /** Bytes of the extended headers before the next entry. */
  #metadata = 0n;
  /** The extended header whose data come next. */
  #pending: { readonly kind: ExtensionKind; readonly size: number } | null = null;

  constructor(options: EntryOptions) {
    this.#options = options;
  }

  /**
   * Takes a header.
   * @param block 512 bytes, not all zero
   * @throws SealError `input` when it is corrupt, or something that layers can't have
   */
  block(block: Uint8Array): HeaderBlock {
    const { subject } = this.#options;
    const header = parseHeader(block, subject);
    const kind = extensionOf(header);
    if (kind === null) {
      const { entry, size } = combineEntry(header, this.#extensions, this.#options);
      this.#extensions = NO_EXTENSIONS;
      this.#metadata = 0n;
      return { entry, size: Number(size) };
    }
    if (this.#metadata + header.size > METADATA_LIMIT) {
      throw inputError(subject, "an extended header is larger than 1 MiB");
    }
    if (kind !== "global") this.#metadata += header.size;
    const size = Number(header.size);
    this.#pending = { kind, size };
    return { entry: null, size };
  }

  /**
   * Takes the data of an extended header.
   * @param data with its padding; it may be reused afterwards
   * @throws SealError `input` when it is corrupt, or where it must not be
   */
  extension(data: Uint8Array): void {
    if (this.#pending === null) throw new Error("there was no extended header");
    const { kind, size } = this.#pending;
    this.#pending = null;
    this.#extensions = withExtension(this.#extensions, kind, data.subarray(0, size), this.#options);
  }

  /** The archive has ended. @throws SealError `input` when that is between an extended header and its entry */
  end(): void {
    if (this.#metadata > 0n) throw inputError(this.#options.subject, "ends after an extended header without its entry");
  }
}

type ExtensionKind = "pax" | "longName" | "longLink" | "global";

const NO_EXTENSIONS: Extensions = { longName: null, longLink: null, pax: null };

function extensionOf(header: TarHeader): ExtensionKind | null {
  if (header.type === "g") return "global";
  if (!header.extensible) return null;
  return header.type === "x" ? "pax" : header.type === "L" ? "longName" : header.type === "K" ? "longLink" : null;
}

function withExtension(
  extensions: Extensions,
  kind: ExtensionKind,
  data: Uint8Array,
  { subject, negativeTimes }: EntryOptions,
): Extensions {
  // Global headers don't count in container layers. But some readers forget the extended headers before one, also the
  // one in newer releases of bootc.
  if (kind === "global") {
    if (Object.values(extensions).every((extension) => extension === null)) return extensions;
    throw inputError(subject, "a global header is between an entry and its extended header; create the archive again");
  }
  if (extensions[kind] !== null) throw inputError(subject, "an entry has the same extended header twice");
  if (kind === "pax") return { ...extensions, pax: parsePax(data, subject, negativeTimes) };
  return { ...extensions, [kind]: ownBytes(data.at(-1) === 0 ? data.subarray(0, -1) : data) };
}
