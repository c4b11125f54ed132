import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { StoredBytes } from "../../src/chunks.ts";
import { digestOf, isWorthAhead } from "../../src/pe/digest.ts";
import { hashAhead } from "../../src/seal/hash-ahead.ts";

const MIB = 1 << 20;

describe("hashAhead", () => {
  it("spares those who ask later the hashing, and tells them the same", async () => {
    const content = [Buffer.alloc(9 * MIB, "seal")];
    const algorithms = ["sha1", "sha256", "sha384", "sha512"] as const;
    await hashAhead([content], algorithms);
    for (const algorithm of algorithms) {
      expect(isWorthAhead(algorithm, content)).toBe(false);
      const expected = createHash(algorithm).update(Buffer.concat(content)).digest("hex");
      expect(toHex(digestOf(algorithm, content))).toBe(expected);
    }
  });

  it("leaves alone what is little, or not in memory", async () => {
    const little = [Buffer.alloc(2 * MIB)];
    const stored = new StoredBytes((into) => void into.fill(0), 64 * MIB);
    await hashAhead([little, stored], ["sha256"]);
    expect(isWorthAhead("sha256", little)).toBe(true);
    expect(isWorthAhead("sha256", stored)).toBe(true);
  });
});
