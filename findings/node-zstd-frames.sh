#!/bin/sh
# Node 24.21.0 (Zstandard 1.5.7): zlib's Zstandard decompressors stop behind the first frame, without an error.
#
# RFC 8878, 3: "Zstandard compressed data is made up of one or more frames ... decompression of multiple concatenated
# frames is the concatenation of the decompressed frames." Layers of images come so: zstd:chunked and pzstd write a
# frame for each piece. For gzip, whose members may follow each other in the same way, createGunzip and gunzipSync read
# all of them; createZstdDecompress and zstdDecompressSync give the first frame and end as if it were all.
#
# Expected: "first second" from all four.   Seen: "first " from both for Zstandard.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save node@24.21.0 >/dev/null
cat >check.mjs <<'JS'
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import zlib from "node:zlib";
const streamed = (bytes, transform) => text(Readable.from([bytes]).pipe(transform));
const both = (pack) => Buffer.concat(["first ", "second"].map((part) => pack(part)));
const [gzip, zstd] = [both(zlib.gzipSync), both(zlib.zstdCompressSync)];
const seen = {
  gunzipSync: zlib.gunzipSync(gzip).toString(),
  createGunzip: await streamed(gzip, zlib.createGunzip()),
  zstdDecompressSync: zlib.zstdDecompressSync(zstd).toString(),
  createZstdDecompress: await streamed(zstd, zlib.createZstdDecompress()),
};
console.log(`node ${process.versions.node}, Zstandard ${process.versions.zstd}`);
for (const [name, found] of Object.entries(seen)) console.log(`${name}: ${JSON.stringify(found)}`);
const wanted = ["first second", "first second", "first ", "first "];
if (Object.values(seen).join("|") !== wanted.join("|")) process.exitCode = 1;
JS
./node_modules/.bin/node check.mjs
