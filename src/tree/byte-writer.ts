/** Writes integers and bytes one after the other; little endian. */
export class ByteWriter {
  /** Where the next byte goes. */
  position = 0;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;

  /** @param size of all that will be written */
  constructor(size: number) {
    this.#bytes = new Uint8Array(size);
    this.#view = new DataView(this.#bytes.buffer);
  }

  u8(value: number): void {
    this.#view.setUint8(this.position++, value);
  }

  u16(value: number): void {
    this.#view.setUint16(this.position, value, true);
    this.position += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.position, value, true);
    this.position += 4;
  }

  /** @throws RangeError for what is beyond 64 bits */
  i64(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} has more than 64 bits`);
    this.#view.setBigInt64(this.position, value, true);
    this.position += 8;
  }

  bytes(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** Bytes after their length (u32). */
  sized(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.bytes(bytes);
  }

  /** @throws Error when less or more was written than announced, which is a bug */
  done(): Uint8Array<ArrayBuffer> {
    if (this.position !== this.#bytes.length) throw new Error("something has another size than was counted");
    return this.#bytes;
  }
}
