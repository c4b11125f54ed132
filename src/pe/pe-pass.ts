/** What signing and verifying compute over all bytes of an image, once, and as its pieces come by. */
import { SealError } from "../errors.ts";
import { type AuthentihashAlgorithm, AuthentihashStream, type HashForm } from "./authentihash.ts";
import { imageEnd } from "./certtable.ts";
import { RangeSum } from "./checksum.ts";
import type { PeImage } from "./headers.ts";

/** Both need the SHA-256 hash; signing also the sum that goes into the checksum. */
export type PassPurpose = "sign" | "verify";

/** A PE file whose hashes are computed in one pass over its bytes. */
export class PePass {
  readonly pe: PeImage;
  /** The hash that nearly all signatures use. Null when there is none; the error comes when it is asked for. */
  readonly #sha256: AuthentihashStream | null;
  /** Of what signing leaves as it is, from the end of the headers to the signatures. */
  readonly #body: RangeSum | null;
  readonly #others = new Map<AuthentihashAlgorithm, AuthentihashStream>();

  constructor(pe: PeImage, purpose: PassPurpose) {
    this.pe = pe;
    this.#sha256 = startHash(pe);
    const sums = this.#sha256 !== null && purpose === "sign";
    this.#body = sums ? new RangeSum(pe.file, pe.sizeOfHeaders, imageEnd(pe)) : null;
  }

  /**
   * Works on a piece of the file that is there for something else too, pieces in their order; what has not been given
   * is read when it is needed.
   * @param at offset of the piece in the file
   */
  take(piece: Uint8Array, at: number): void {
    this.#sha256?.take(piece, at);
    this.#body?.take(piece, at);
  }

  /**
   * The Authenticode hash, as signatures or as firmware want it.
   * @throws SealError as {@link authentihash}
   */
  hash(algorithm: AuthentihashAlgorithm, form: HashForm = "signature"): Uint8Array {
    const own = algorithm === "sha256" ? this.#sha256 : null;
    const stream = own ?? this.#others.get(algorithm) ?? new AuthentihashStream(this.pe, algorithm);
    this.#others.set(algorithm, stream);
    return stream.digest(form);
  }

  /** The sum of the bytes between headers and signatures; null for other purposes than signing. */
  bodySum(): RangeSum | null {
    this.#body?.finish();
    return this.#body;
  }
}

function startHash(pe: PeImage): AuthentihashStream | null {
  try {
    return new AuthentihashStream(pe, "sha256");
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}
