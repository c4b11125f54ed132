import { randomFillSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { authentihash } from "../../src/pe/authentihash.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { assembleUki } from "../../src/pe/uki.ts";
import { readPeFile } from "../../src/seal/read-pe-file.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const stub = parsePe([vector("uki/inputs/stub-wide")], "stub");

function fileOf(bytes: Uint8Array): string {
  const path = join(tempDir(), "x.efi");
  writeFileSync(path, bytes);
  return path;
}

describe("readPeFile", () => {
  it.each([0, 3 << 20, 11 << 20])("hashes what it reads: an initrd of %i bytes", async (size) => {
    const bytes = concat(assembleUki(stub, [{ name: ".initrd", content: [randomFillSync(new Uint8Array(size))] }]));
    const pass = await readPeFile(fileOf(bytes), "x.efi");
    expect(concat(pass.pe.file)).toEqual(bytes);
    expect(pass.hash("sha256")).toEqual(authentihash(parsePe([bytes], "x.efi"), "sha256"));
  });

  it("refuses what parsing the whole file refuses, with the same words", async () => {
    const far = new Uint8Array(20 << 20);
    far.set([0x4d, 0x5a]);
    // The PE header would lie far behind what is read first.
    new DataView(far.buffer).setUint32(0x3c, 19 << 20, true);
    await expect(readPeFile(fileOf(far), "x.efi")).rejects.toThrow(
      "x.efi: not a PE file (an MZ header without a PE header)",
    );
    await expect(readPeFile(fileOf(new Uint8Array()), "x.efi")).rejects.toThrow(
      "x.efi: not a PE file (it does not start with an MZ header)",
    );
    await expect(readPeFile("/nowhere/x.efi", "x.efi")).rejects.toThrow(/can't be read: no such file/);
  });
});
