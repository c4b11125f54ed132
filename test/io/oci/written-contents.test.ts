/** What is read back is compared with what was written: only where both are the same is the digest taken over. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Chunks, StoredBytes } from "../../../src/chunks.ts";
import { verityDigest } from "../../../src/composefs/verity.ts";
import { LayerMemory } from "../../../src/io/oci/layer-memory.ts";
import { readContents } from "../../../src/io/oci/read-contents.ts";
import { ReadingState } from "../../../src/io/oci/reading-state.ts";
import { wholeFile } from "../../../src/io/oci/stored-file.ts";
import { WrittenHasher, writtenContents } from "../../../src/io/oci/written-contents.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import type { LayerEntry } from "../../../src/tree/build.ts";
import { writeLayout } from "../../support/layout.ts";
import { tarArchive, tarDirectory, tarFile } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

/** Of no content: who has it took it over. */
const TOLD = new Uint8Array(64).fill(0xee);
const METADATA = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };
const UKI = "boot/EFI/Linux/a.efi";
const SIZE = (1 << 20) + 70_001;
const BYTES = Uint8Array.from({ length: SIZE }, (_, index) => (index * 31) >> 7);
const CHUNKS = [BYTES.subarray(0, 5), BYTES.subarray(5, 5), BYTES.subarray(5, 400_000), BYTES.subarray(400_000)];

function entry(path: string, content: Chunks): LayerEntry<Chunks> {
  return { path: Buffer.from(path), metadata: METADATA, item: { kind: "regular", content } };
}

/** As what was written is remembered. */
function written(path = UKI, content: Chunks = CHUNKS) {
  return writtenContents([entry(path, content)], new Map([[content, TOLD]]));
}

function changed(at: number): Uint8Array {
  const bytes = Uint8Array.from(BYTES);
  bytes[at] = (bytes[at] ?? 0) ^ 0x80;
  return bytes;
}

/** The digest that a file has when its layer is read back. */
async function readBack(bytes: Uint8Array, contents = written(), path = UKI): Promise<Uint8Array | null> {
  const file = join(tempDir(), "layer");
  const archive = tarArchive(tarFile(path, bytes));
  writeFileSync(file, archive);
  const digest = { algorithm: "sha256", hex: createHash("sha256").update(archive).digest("hex") } as const;
  const layer = { file: await wholeFile("layer", file), digest, diffId: digest, mediaType: null, negativeTimes: false };
  const reading = { algorithm: "sha512", paxOwners: "count", needs: "digest" } as const;
  const { entries } = await readContents(layer, reading, new ReadingState(1).port(0, 0), contents);
  const [item] = entries.map((one) => one.item);
  if (entries.length !== 1 || item?.kind !== "regular" || item.content.kind !== "external") throw new Error("no file");
  return item.content.digest;
}

describe("a file that is read back", () => {
  it("has the digest of what was written where every byte is the same", async () => {
    expect(await readBack(BYTES)).toEqual(TOLD);
    const small = BYTES.subarray(0, 300);
    expect(await readBack(small, written(UKI, [small]))).toEqual(TOLD);
  });

  it.each([0, 4, 5, 399_999, 400_000, 524_287, 524_288, SIZE - 1])("is hashed where byte %i differs", async (at) => {
    const bytes = changed(at);
    expect(await readBack(bytes)).toEqual(verityDigest(bytes, "sha512"));
  });

  it.each([
    ["shorter", BYTES.subarray(0, SIZE - 1)],
    ["longer", Buffer.concat([BYTES, new Uint8Array(1)])],
  ])("is hashed where it is %s", async (_, bytes) => {
    expect(await readBack(bytes)).toEqual(verityDigest(bytes, "sha512"));
  });

  it("is hashed where nothing with its name was written, or that is not in memory", async () => {
    const digest = verityDigest(BYTES, "sha512");
    expect(await readBack(BYTES, written(), "boot/EFI/Linux/b.efi")).toEqual(digest);
    const stored = new StoredBytes((into, offset) => into.set(BYTES.subarray(offset, offset + into.length)), SIZE);
    expect(await readBack(BYTES, written(UKI, stored))).toEqual(digest);
    expect(await readBack(BYTES, writtenContents([entry(UKI, CHUNKS)], new Map()))).toEqual(digest);
  });
});

describe("WrittenHasher", () => {
  it("has the digest of the bytes that come, in whatever pieces", () => {
    const bytes = BYTES.subarray(0, 20_000);
    const content = { chunks: [bytes.subarray(0, 7000), bytes.subarray(7000)], size: 20_000n, digest: TOLD };
    const pieces = fc.array(fc.integer({ min: 0, max: 9000 }), { maxLength: 8 });
    fc.assert(
      fc.property(fc.option(fc.nat(19_999)), pieces, (difference, lengths) => {
        const given = Uint8Array.from(bytes);
        if (difference !== null) given[difference] = (given[difference] ?? 0) ^ 1;
        const hasher = new WrittenHasher(content, "sha512");
        let at = 0;
        for (const length of [...lengths, given.length]) {
          hasher.update(given.subarray(at, at + length));
          at = Math.min(at + length, given.length);
        }
        expect(hasher.digest()).toEqual(difference === null ? TOLD : verityDigest(given, "sha512"));
      }),
    );
  });

  it("has no digest of a part", () => {
    const hasher = new WrittenHasher({ chunks: CHUNKS, size: BigInt(SIZE), digest: TOLD }, "sha512");
    hasher.update(BYTES.subarray(0, SIZE - 1));
    expect(() => hasher.digest()).toThrow("has not ended");
  });
});

describe("LayerMemory of what was written", () => {
  const remembered = (keeps: "layers" | "trees") => {
    const memory = new LayerMemory(keeps);
    memory.rememberWritten([entry(UKI, CHUNKS)], new Map([[CHUNKS, TOLD]]), "sha512");
    return memory;
  };

  it("gives it to readings with the same hash, beside trees only", () => {
    expect(remembered("trees").written({ algorithm: "sha512" })?.get(UKI)?.digest).toBe(TOLD);
    expect(remembered("trees").written({ algorithm: "sha256" })).toBeNull();
    expect(remembered("trees").written({ algorithm: null })).toBeNull();
    expect(remembered("layers").written({ algorithm: "sha512" })).toBeNull();
  });

  it("has layers of an image compared with it", async () => {
    const cwd = tempDir();
    writeLayout(join(cwd, "image"), [tarArchive(tarDirectory("usr"), tarFile("usr/file", BYTES))]);
    const memory = new LayerMemory("trees");
    memory.rememberWritten([entry("usr/file", CHUNKS)], new Map([[CHUNKS, TOLD]]), "sha512");
    const source = { kind: "oci", path: "image", reference: null, subject: "oci:image" } as const;
    const reading = { algorithm: "sha512", xattrs: "all", cwd, platform: "linux/amd64", memory } as const;
    const { rootfs } = await openRootfs(source, reading);
    const usr = rootfs.root.entries.find(({ name }) => Buffer.from(name).toString() === "usr")?.node;
    const file = usr?.kind === "directory" ? usr.entries[0]?.node : undefined;
    expect(file).toMatchObject({ content: { digest: TOLD } });
  });
});
