import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { hashBeside } from "../../src/io/hash-beside.ts";

const WHOLE = Buffer.from(Array.from({ length: 3 << 16 }, (_, at) => at * 7 + (at >>> 8)));
/** Views, at odd places, of more than they show. */
const PARTS = [WHOLE.subarray(1, 4099), WHOLE.subarray(0, 0), WHOLE.subarray(5000)];

describe("hashBeside", () => {
  it.each(["sha1", "sha256", "sha384", "sha512"])("computes %s as node:crypto does", async (algorithm) => {
    for (const parts of [PARTS, [], [WHOLE]]) {
      const hash = createHash(algorithm);
      for (const part of parts) hash.update(part);
      const digest = await hashBeside(algorithm, parts);
      expect(toHex(digest ?? new Uint8Array())).toBe(hash.digest("hex"));
    }
  });

  it("computes several at the same time", async () => {
    const contents = Array.from({ length: 20 }, (_, at) => WHOLE.subarray(at, -at - 1));
    const digests = await Promise.all(contents.map((content) => hashBeside("sha256", [content])));
    const expected = contents.map((content) => createHash("sha256").update(content).digest("hex"));
    expect(digests.map((digest) => toHex(digest ?? new Uint8Array()))).toEqual(expected);
  });

  it("leaves it to others where node has no such functions, algorithm, or success", async () => {
    const missing = (prototype: string) => {
      throw new Error(`Cannot find function '${prototype}' in shared library`);
    };
    expect(await hashBeside("sha256", PARTS, missing)).toBeNull();
    expect(await hashBeside("sha257", PARTS)).toBeNull();
    const failing = (prototype: string) => (prototype.includes("EVP_MD_CTX_free") ? () => {} : () => 0);
    expect(await hashBeside("sha256", PARTS, failing)).toBeNull();
  });
});
