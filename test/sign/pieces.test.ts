import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { concat, StoredBytes } from "../../src/chunks.ts";
import { replaceFile, writeOutput } from "../../src/io/files.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { signPe, signPieces } from "../../src/sign/authenticode.ts";
import { AUTHENTICODE_VECTORS, vectorSigner } from "../support/signing.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const names = [
  ...new Set(AUTHENTICODE_VECTORS.hashes.flatMap((one) => (one.authenticode_hash === null ? [] : [one.pe]))),
].filter((name) => !/(addon|stub)-257|trailing-data/.test(name));

/** A file that is not in memory, and what has been read of it. */
function stored(bytes: Uint8Array): { readonly file: StoredBytes; readonly read: () => number } {
  let count = 0;
  const read = (into: Uint8Array, offset: number) => {
    count += into.length;
    into.set(bytes.subarray(offset, offset + into.length));
  };
  return { file: new StoredBytes(read, bytes.length), read: () => count };
}

describe("signPieces", () => {
  it.each(names)("writes what signPe gives: %s", async (name) => {
    const bytes = vector(`authenticode/${name}`);
    const signer = vectorSigner("signer");
    for (const append of [false, true]) {
      const options = { append, signingTime: null };
      const expected = concat((await signPe(parsePe([bytes], name), signer, options)).file);
      for (const file of [[bytes], stored(bytes).file]) {
        const path = join(tempDir(), "x.efi");
        await writeOutput(path, signPieces(parsePe(file, name), signer, options));
        expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
        writeFileSync(path, "old");
        await replaceFile(path, signPieces(parsePe(file, name), signer, options));
        expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
      }
    }
  });

  it("reads a file once, but for its headers", async () => {
    const bytes = Buffer.concat([vector("authenticode/pe/plain.efi.gz"), Buffer.alloc(5 << 20, "x")]);
    const { file, read } = stored(bytes);
    const pe = parsePe(file, "x.efi");
    const before = read();
    const signer = vectorSigner("signer");
    const options = { append: false, signingTime: null };
    for await (const _ of signPieces(pe, signer, options));
    expect(read() - before).toBeLessThan(bytes.length + (3 << 20));
  });
});
