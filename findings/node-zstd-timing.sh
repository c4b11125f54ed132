#!/bin/sh
# Node 24.21.0 (Zstandard 1.5.7): zlib.createZstdCompress packs the same chunks to other bytes when end() is called
# before the last chunk was taken.
#
# What a compressor writes is a matter of its options and its input: node's gzip, deflate and Brotli streams write the
# same bytes no matter when the chunks come and when they are read. The Zstandard stream takes the last chunk together
# with the end when both are waiting, and then ends the frame in another way (and, with a single chunk, writes a header
# with the size of the content). A layer that is packed twice gets another digest when the machine is busy.
#
# Expected: "same" four times.   Seen: "other" for Zstandard; both results unpack to the input.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save node@24.21.0 >/dev/null
cat >check.mjs <<'JS'
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import zlib from "node:zlib";

const input = Buffer.alloc(300_000, "layer ");
const chunks = [input.subarray(0, 200_000), input.subarray(200_000)];

/** Chunks and end at once, or each when the one before has been taken. */
async function pack(transform, isPatient) {
  const packed = buffer(transform);
  for (const chunk of chunks) {
    const taken = new Promise((resolve) => transform.write(chunk, resolve));
    if (isPatient) await taken;
  }
  transform.end();
  await once(transform, "close");
  return packed;
}

const codecs = {
  gzip: [zlib.createGzip, zlib.gunzipSync],
  deflate: [zlib.createDeflate, zlib.inflateSync],
  Brotli: [zlib.createBrotliCompress, zlib.brotliDecompressSync],
  Zstandard: [zlib.createZstdCompress, zlib.zstdDecompressSync],
};
console.log(`node ${process.versions.node}, Zstandard ${process.versions.zstd}`);
const seen = [];
for (const [name, [create, unpack]] of Object.entries(codecs)) {
  const [hasty, patient] = [await pack(create(), false), await pack(create(), true)];
  const unpacks = [hasty, patient].every((bytes) => unpack(bytes).equals(input));
  const result = hasty.equals(patient) ? "same" : "other";
  seen.push(result);
  console.log(`${name}: ${result} (${hasty.length} and ${patient.length} bytes), unpacks: ${unpacks}`);
  if (!unpacks) process.exitCode = 1;
}
if (seen.join() !== "same,same,same,other") process.exitCode = 1;
JS
./node_modules/.bin/node check.mjs
