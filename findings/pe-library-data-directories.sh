#!/bin/sh
# pe-library 2.0.1 looks for the section headers behind sixteen data directories, however many the image has, and writes
# other bytes than it read.
#
# The optional header ends with as many data directories as NumberOfRvaAndSizes says, and SizeOfOptionalHeader says
# where it ends (PE format, "Optional Header"). EFI programs often have six: Linux as an EFI program, memtest86+.
# NtExecutable takes such a file without an error, but reads its section headers 80 bytes too far, the size of two. The
# first two sections are not there for it, and generate() leaves their contents out.
#
# Expected: .text, .data and .sbat, as pefile says, and the same file from generate().
# Seen: .sbat and two sections without name or size; 1,024 bytes that were code and data are zero.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save --ignore-scripts pe-library@2.0.1 >/dev/null
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pefile==2024.8.26
cat >check.mjs <<'JS'
import { readFileSync, writeFileSync } from "node:fs";
import { NtExecutable } from "pe-library";

const DIRECTORIES = 6;
const SECTIONS = [".text", ".data", ".sbat"];
const OPTIONAL_HEADER = 112 + 8 * DIRECTORIES;

/** An EFI application for x64 with three sections, laid out as the PE format says. */
function image() {
  const file = Buffer.alloc(0x800);
  file.write("MZ", 0);
  file.writeUInt32LE(0x40, 0x3c);
  file.write("PE", 0x40);
  const header = 0x44;
  file.writeUInt16LE(0x8664, header);
  file.writeUInt16LE(SECTIONS.length, header + 2); // NumberOfSections
  file.writeUInt16LE(OPTIONAL_HEADER, header + 16);
  file.writeUInt16LE(0x22, header + 18); // executable, large addresses
  const optional = header + 20;
  file.writeUInt16LE(0x20b, optional); // PE32+
  file.writeUInt32LE(0x200, optional + 4); // SizeOfCode
  file.writeUInt32LE(0x1000, optional + 16); // AddressOfEntryPoint
  file.writeUInt32LE(0x1000, optional + 20); // BaseOfCode
  file.writeUInt32LE(0x1000, optional + 32); // SectionAlignment
  file.writeUInt32LE(0x200, optional + 36); // FileAlignment
  file.writeUInt32LE(0x4000, optional + 56); // SizeOfImage
  file.writeUInt32LE(0x200, optional + 60); // SizeOfHeaders
  file.writeUInt16LE(10, optional + 68); // EFI application
  file.writeUInt32LE(DIRECTORIES, optional + 108);
  for (const [index, name] of SECTIONS.entries()) {
    const section = optional + OPTIONAL_HEADER + 40 * index;
    file.write(name, section);
    file.writeUInt32LE(0x200, section + 8); // VirtualSize
    file.writeUInt32LE(0x1000 * (index + 1), section + 12); // VirtualAddress
    file.writeUInt32LE(0x200, section + 16); // SizeOfRawData
    file.writeUInt32LE(0x200 * (index + 1), section + 20); // PointerToRawData
    file.writeUInt32LE(index === 0 ? 0x60000020 : 0x40000040, section + 36); // code or data, readable
  }
  // Contents that are nothing special: all byte values in turn.
  for (let at = 0x200; at < file.length; at++) file[at] = at & 0xff;
  return file;
}

const { version } = JSON.parse(readFileSync("node_modules/pe-library/package.json", "utf8"));
console.log("pe-library version", version);
const file = image();
writeFileSync("image.efi", file);
const read = NtExecutable.from(file);
const names = read.getAllSections().map(({ info }) => info.name);
console.log("pe-library reads:", names);
const again = Buffer.from(read.generate());
const lost = again.subarray(0x200, 0x600).every((byte) => byte === 0);
console.log("code and data when it is written again:", lost ? "zeros" : "there");
if (names.join() !== ",,.sbat" || !lost) throw new Error("it is otherwise now");
JS
node check.mjs
cat >check.py <<'PY'
import pefile

image = pefile.PE("image.efi")
names = [section.Name.rstrip(b"\0").decode() for section in image.sections]
print("pefile reads:    ", names)
assert names == [".text", ".data", ".sbat"] and not image.get_warnings()
PY
venv/bin/python check.py
