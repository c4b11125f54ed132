/** What the threads of the hash pool pass each other: paths and identities of files, in memory that all of them see. */
import type { VerityAlgorithm } from "../composefs/profile.ts";
import { type FileIdentity, IDENTITY_WORDS } from "./libc.ts";

/** Files to hash, or a piece of one, in memory that all threads see. */
export interface Batch {
  readonly algorithm: VerityAlgorithm;
  /** Absolute paths, each with a NUL after it. */
  readonly paths: Uint8Array;
  /** {@link IDENTITY_WORDS} words for each file, see {@link FileIdentity}. */
  readonly identities: Uint32Array;
  /** One word; see {@link claim}. */
  readonly claimed: Int32Array;
  /** Null: files, whole. */
  readonly piece: Piece | null;
}

/** A part of a file: bytes, from an offset on. */
export interface Piece {
  readonly offset: number;
  readonly size: number;
}

/** Takes a batch for this thread. False: another one has it. */
export function claim(batch: Batch): boolean {
  return Atomics.exchange(batch.claimed, 0, 1) === 0;
}

/** The path of a file in a batch, its bytes as latin1. */
export function pathIn({ paths }: Batch, index: number): string {
  let start = 0;
  for (let before = 0; before < index; before++) start = paths.indexOf(0, start) + 1;
  const bytes = Buffer.from(paths.buffer, paths.byteOffset, paths.byteLength);
  return bytes.toString("latin1", start, paths.indexOf(0, start));
}

/** A batch while files are added to it. */
export class OpenBatch {
  bytes = 0;
  readonly digests: Uint8Array[] = [];
  #paths = "";
  readonly #identities: Uint32Array;

  /** @param capacity how many files it can take */
  constructor(capacity: number) {
    this.#identities = new Uint32Array(capacity * IDENTITY_WORDS);
  }

  add(path: string, identity: FileIdentity, size: number, digest: Uint8Array): void {
    this.#paths += `${path}\0`;
    this.#identities.set(identity, this.digests.length * IDENTITY_WORDS);
    this.digests.push(digest);
    this.bytes += size;
  }

  close(algorithm: VerityAlgorithm): Batch {
    const identities = this.#identities.subarray(0, this.digests.length * IDENTITY_WORDS);
    return { algorithm, ...joinFiles(this.#paths, identities), claimed: newClaim(), piece: null };
  }
}

/** Files of a batch, in memory that all threads see. */
export function joinFiles(paths: string, identities: Uint32Array): Pick<Batch, "paths" | "identities"> {
  const pathBytes = Buffer.from(new SharedArrayBuffer(paths.length));
  pathBytes.write(paths, "latin1");
  const words = new Uint32Array(new SharedArrayBuffer(identities.byteLength));
  words.set(identities);
  return { paths: pathBytes, identities: words };
}

export function newClaim(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}
