#!/bin/sh
# tar-stream 3.2.2 changes binary values of PAX records, so the file capabilities of a container layer do not survive
# it.
#
# A layer carries xattrs as PAX records SCHILY.xattr.NAME=VALUE, whose values are bytes (POSIX.1-2017 pax gives each
# record its length, so that any byte can stand in it). GNU tar writes security.capability so. tar-stream decodes every
# record as UTF-8: bytes that are none become U+FFFD, and nothing is said about it.
#
# Expected (by GNU tar, Go's archive/tar, libarchive): 20 bytes as they were.
# Seen: 24 bytes, two of them replaced by three each.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save --ignore-scripts tar-stream@3.2.2 >/dev/null
cat >check.cjs <<'JS'
const { extract } = require("tar-stream");
// security.capability, version 2, with two bytes above 0x7f in its inheritable bits.
const value = Buffer.from("0100000200200000feff00000000000000000000", "hex");
const key = " SCHILY.xattr.security.capability=";
let length = key.length + value.length + 1;
while (String(length).length + key.length + value.length + 1 !== length) length = String(length).length + key.length + value.length + 1;
const record = Buffer.concat([Buffer.from(String(length) + key), value, Buffer.from("\n")]);
function block(name, type, size) {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  for (const [at, width, number] of [[100, 7, 0o644], [108, 7, 0], [116, 7, 0], [124, 11, size], [136, 11, 0]])
    header.write(number.toString(8).padStart(width, "0"), at);
  header.write(type, 156);
  header.write("ustar\0" + "00", 257);
  header.fill(" ", 148, 156);
  header.write(header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0") + "\0 ", 148);
  return header;
}
const archive = Buffer.concat([block("pax", "x", record.length), record, Buffer.alloc(512 - record.length), block("ping", "0", 0), Buffer.alloc(1024)]);
require("node:fs").writeFileSync("layer.tar", archive);
const reader = extract();
reader.on("entry", (header, stream, next) => {
  const read = Buffer.from(header.pax["SCHILY.xattr.security.capability"]);
  console.log(`in the archive  ${value.toString("hex")}\ntar-stream      ${read.toString("hex")}`);
  if (read.equals(value) || !read.includes(Buffer.from("efbfbd", "hex"))) process.exitCode = 1;
  stream.resume();
  next();
});
reader.end(archive);
JS
node check.cjs
# The archive is a valid one.
tar -tf layer.tar | grep -qx ping
