/**
 * One entry of a tar archive with the extended headers before it. Byte for byte: tar libraries read names and xattrs as UTF-8, which destroys
 * those that are none, and pass over much that container tools refuse.
 */
import { inputError } from "../../errors.ts";
import { combineEntry, type Extensions, type SizedEntry } from "./entry.ts";
import { BLOCK, isZero, parseHeader, type TarHeader } from "./header.ts";
import { METADATA_LIMIT, parsePax } from "./pax.ts";

export interface EntryOptions {
  /** Names the archive in messages. */
  readonly subject: string;
  readonly negativeTimes: boolean;
  /** See `TransformRules.paxOwners`. */
  readonly paxOwners: "count" | "ignored";
}

/** Where headers come from; what they describe lies behind them. */
export interface Blocks {
  /** Exactly so many bytes, and on behind them. They are valid until the next call. */
  read(length: number): Promise<Uint8Array>;
  /** The same without going on. */
  peek(length: number): Promise<Uint8Array>;
}

/**
 * The next entry with its extensions; null at the end of the archive. Its content has not been read then.
 * @throws SealError `input` when the archive is cut off, corrupt, or has what layers can't have
 */
export async function readEntry(reader: Blocks, options: EntryOptions): Promise<SizedEntry | null> {
  const { subject } = options;
  const extensions: Extensions = { longName: null, longLink: null, pax: null };
  let metadata = 0n;
  for (;;) {
    const block = await reader.read(BLOCK);
    if (isZero(block)) {
      const second = await reader.peek(BLOCK);
      // A single zero block is passed over.
      if (!isZero(second)) continue;
      if (metadata > 0n) throw inputError(subject, "ends after an extended header without its entry");
      return null;
    }
    const header = parseHeader(block, subject);
    const kind = extensionOf(header);
    if (kind === null) return combineEntry(header, extensions, options);
    metadata += header.size;
    if (metadata > METADATA_LIMIT) throw inputError(subject, "an extended header is larger than 1 MiB");
    const size = Number(header.size);
    // A copy, because what was read is valid until the next reading only.
    const data = Buffer.from(await reader.read(Math.ceil(size / BLOCK) * BLOCK));
    applyExtension(extensions, kind, data.subarray(0, size), options);
    if (kind === "global") metadata -= header.size;
  }
}

function extensionOf(header: TarHeader): "pax" | "longName" | "longLink" | "global" | null {
  if (header.type === "g") return "global";
  if (!header.extensible) return null;
  return header.type === "x" ? "pax" : header.type === "L" ? "longName" : header.type === "K" ? "longLink" : null;
}

function applyExtension(
  extensions: Extensions,
  kind: "pax" | "longName" | "longLink" | "global",
  data: Uint8Array,
  { subject, negativeTimes }: EntryOptions,
): void {
  // Global headers don't count in container layers. But some readers forget the extended headers before one, also the one in newer releases of bootc.
  if (kind === "global") {
    if (Object.values(extensions).every((extension) => extension === null)) return;
    throw inputError(
      subject,
      "a global header stands between an entry and its extended header; pack the archive again",
    );
  }
  if (extensions[kind] !== null) throw inputError(subject, "an entry has the same extended header twice");
  if (kind === "pax") extensions.pax = parsePax(data, subject, negativeTimes);
  else extensions[kind] = data.at(-1) === 0 ? data.subarray(0, -1) : data;
}
