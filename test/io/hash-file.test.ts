import { statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { toHex, utf8 } from "../../src/bytes.ts";
import { verityDigest } from "../../src/composefs/verity.ts";
import { type FileIdentity, hashBatch, IDENTITY_WORDS, readSmallFile } from "../../src/io/hash-file.ts";
import { tempDir } from "../support/temp.ts";

const TIME = new Date("2026-01-02T03:04:05Z");

function identityOf(path: string): FileIdentity {
  const { ino, size, mtimeMs, ctimeMs } = statSync(path);
  return Float64Array.of(ino, size, mtimeMs, ctimeMs);
}

/** A file, and what it was when a scan saw it. */
function scanned(size: number): { path: string; identity: FileIdentity } {
  const path = join(tempDir(), "file");
  writeFileSync(path, Buffer.alloc(size, "a"));
  utimesSync(path, TIME, TIME);
  return { path, identity: identityOf(path) };
}

/** Changes one byte and puts mtime back, as a build that sets all times does, or somebody who hides it. */
async function changeUnseen(path: string, identity: FileIdentity): Promise<void> {
  const { size } = statSync(path);
  do {
    // ctime moves with the clock of the kernel, some milliseconds at a time.
    await setTimeout(5);
    writeFileSync(path, Buffer.alloc(size, "b"));
    utimesSync(path, TIME, TIME);
  } while (statSync(path).ctimeMs === identity[IDENTITY_WORDS - 1]);
  expect(identityOf(path).subarray(0, IDENTITY_WORDS - 1)).toEqual(identity.subarray(0, IDENTITY_WORDS - 1));
}

function hash(path: string, identities: FileIdentity): string {
  const claimed = new Int32Array(1);
  const steps = hashBatch({ algorithm: "sha256", paths: utf8(`${path}\0`), identities, claimed });
  for (;;) {
    const { done, value } = steps.next();
    if (done) return toHex(value);
  }
}

describe("a file whose content changed while its size and mtime did not", () => {
  const changed = expect.objectContaining({
    code: "input",
    message: expect.stringContaining("changed while it was read"),
  });

  it.each([100, (2 << 20) + 1])("is noticed when it is hashed, %d bytes", async (size) => {
    const { path, identity } = scanned(size);
    expect(hash(path, identity)).toBe(toHex(verityDigest(Buffer.alloc(size, "a"), "sha256")));
    await changeUnseen(path, identity);
    expect(() => hash(path, identity)).toThrow(changed);
  });

  it("is noticed when it is read", async () => {
    const { path, identity } = scanned(10);
    expect(readSmallFile(utf8(path), identity, 10)).toEqual(new Uint8Array(Buffer.alloc(10, "a")));
    await changeUnseen(path, identity);
    expect(() => readSmallFile(utf8(path), identity, 10)).toThrow(changed);
  });
});
