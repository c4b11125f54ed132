/** What entries of the cache stand for: a reading of layers that must not change under the same number. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { READER_VERSION } from "../../../src/io/oci/cache-entry.ts";
import { readContents } from "../../../src/io/oci/read-contents.ts";
import { ReadingState } from "../../../src/io/oci/reading-state.ts";
import { wholeFile } from "../../../src/io/oci/stored-file.ts";
import { encodeLayer } from "../../../src/tree/layer-codec.ts";
import { tarArchive, tarDirectory, tarFile, tarHeader, tarPax } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

/** Something of each kind that a layer can hold. */
const ARCHIVE = tarArchive(
  tarDirectory("etc/", { mode: 0o2755, uid: 1, gid: 2, mtime: 3 }),
  tarFile("etc/os-release", Buffer.from("ID=x\n")),
  tarFile("etc/long", Buffer.alloc(300, "long"), { mode: 0o4711 }),
  tarPax({
    mtime: "1700000000.123456789",
    uid: "70000",
    "SCHILY.xattr.user.x": "a=b",
    "SCHILY.xattr.security.ima": "y",
  }),
  tarFile("etc/pax", Buffer.alloc(5000, "pax")),
  tarHeader({ name: "etc/hardlink", type: "1", link: "etc/long" }),
  tarHeader({ name: "etc/symlink", type: "2", link: "../usr" }),
  tarHeader({ name: "etc/null", type: "3", device: [1, 3] }),
  tarHeader({ name: "etc/sda", type: "4", device: [8, 0] }),
  tarHeader({ name: "etc/fifo", type: "6" }),
  tarFile("etc/.wh.gone", new Uint8Array()),
  tarFile("usr/.wh..wh..opq", new Uint8Array()),
  tarFile("usr/lib/modules/6.1/vmlinuz", Buffer.alloc(100, "kernel")),
);

it.each([
  ["sha512", "count", "8159b8a55c0309472531cf27ea8efd37e4b3600e64e8cb3bd8a8871a558ea984"],
  ["sha256", "ignored", "91c14f2d2970d38e9a4015e24fce667c4239c8eb12cde9e923b47088bd2cccd4"],
] as const)("is the reading of version 1, with %s, owners in PAX %s", async (algorithm, paxOwners, expected) => {
  const path = join(tempDir(), "layer");
  writeFileSync(path, ARCHIVE);
  const digest = { algorithm: "sha256", hex: createHash("sha256").update(ARCHIVE).digest("hex") } as const;
  const layer = { file: await wholeFile("layer", path), digest, diffId: null, mediaType: null, negativeTimes: false };
  const { contents, ...held } = await readContents(
    layer,
    { algorithm, paxOwners, needs: "all" },
    new ReadingState(1).port(0, 0),
  );
  const hash = createHash("sha256").update(encodeLayer(held));
  for (const [entry, bytes] of contents) hash.update(`${entry} `).update(bytes);
  // Has this changed? Then entries that older versions wrote say something else than this one reads:
  // raise READER_VERSION.
  expect({ READER_VERSION, reading: hash.digest("hex") }).toEqual({ READER_VERSION: 1, reading: expected });
});
