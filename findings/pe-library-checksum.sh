#!/bin/sh
# pe-library 2.0.1 computes a wrong CheckSum for PE files whose length is no multiple of four.
#
# The CheckSum of a PE file is a sum of 16-bit words with carries folded in, plus the length (ImageHlp,
# CheckSumMappedFile; Windows checks it of drivers). Two words may be added as one of 32 bits, for 2^16 is 1 modulo 2^16
# - 1. What is left at the end, one to three bytes, counts as a word padded with zeros. pe-library adds the last bytes
# in another way, so that only lengths that are multiples of four come out right.
#
# Expected: the sum of the words for every length.
# Seen: that for 1024 bytes, and something else for 1025, 1026 and 1027.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save --ignore-scripts pe-library@2.0.1 >/dev/null
node -p "'pe-library version ' + JSON.parse(fs.readFileSync('node_modules/pe-library/package.json')).version"
cat >check.mjs <<'JS'
import { calculateCheckSumForPE } from "pe-library";
function image(length) {
  const bytes = Buffer.alloc(length);
  bytes.write("MZ", 0);
  bytes.writeUInt32LE(64, 60);
  bytes.write("PE\0\0", 64, "latin1");
  for (let at = 400; at < length; at++) bytes[at] = (at * 37 + 11) & 0xff;
  return bytes;
}
function checksum(bytes) {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    if (at === 64 + 88 || at === 64 + 90) continue;
    sum += bytes[at] + ((bytes[at + 1] ?? 0) << 8);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ((sum & 0xffff) + (sum >>> 16)) + bytes.length;
}
const same = [1024, 1025, 1026, 1027].map((length) => {
  const bytes = image(length);
  const right = checksum(bytes);
  let found;
  try {
    found = calculateCheckSumForPE(new Uint8Array(bytes).buffer, false);
  } catch (error) {
    found = error.message;
  }
  console.log(`${length} bytes: words add up to 0x${right.toString(16)}, pe-library says ${typeof found === "number" ? `0x${found.toString(16)}` : found}`);
  return found === right;
});
if (same.join() !== "true,false,false,false") process.exitCode = 1;
JS
node check.mjs
