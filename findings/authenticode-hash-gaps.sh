#!/bin/sh
# LIEF 1.0.0 and virt-firmware 26.10 each compute another Authenticode hash of an image with a gap between two sections,
# and neither is the image's.
#
# The hash takes the headers and the sections one after the other, and counts these bytes. If the file has more than
# that, what lies from *that count* on is hashed too (Windows Authenticode Portable Executable Signature Format,
# "Calculating the PE Image Hash", steps 9 to 14; EDK II, HashPeImage): a gap itself is left out, and as many bytes at
# the end count a second time. LIEF hashes the file from start to end, gap and all, as osslsigncode does. virt-firmware
# leaves out the gap, and what comes a second time too. Real images have gaps: Debian 12's fwupd for arm64 has 4,096
# bytes after .text, and its signature is of the hash that the document describes.
#
# Expected: one hash three times.   Seen: three hashes; without the gap they are one.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check lief==1.0.0 virt-firmware==26.10 pefile==2024.8.26
cat >check.py <<'PY'
import hashlib
import importlib.metadata
import logging
import struct

import lief
import pefile
from virt.peutils import pesign

logging.disable()
HEADERS = 0x200
DIRECTORIES = 16


def image(gap):
    """An EFI application with two sections of 512 bytes, and a gap between them."""
    sections = [(b".text", 0x1000, HEADERS), (b".data", 0x2000, HEADERS + 0x200 + gap)]
    optional = struct.pack("<HBBIIIII", 0x20B, 0, 0, 0x200, 0x200, 0, 0x1000, 0x1000)
    optional += struct.pack("<QIIHHHHHHIIIIHH", 0, 0x1000, 0x200, 0, 0, 0, 0, 0, 0, 0, 0x3000, HEADERS, 0, 10, 0)
    optional += struct.pack("<QQQQII", 0, 0, 0, 0, 0, DIRECTORIES) + bytes(8 * DIRECTORIES)
    headers = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0"
    headers += struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, len(optional), 0x22) + optional
    for name, address, offset in sections:
        headers += name.ljust(8, b"\0") + struct.pack("<IIIIIIHHI", 0x200, address, 0x200, offset, 0, 0, 0, 0, 0x60000020)
    contents = [bytes([index]) * 0x200 for index in (1, 2)]
    return headers.ljust(HEADERS, b"\0") + contents[0] + bytes(gap) + contents[1]


def described(data):
    """The hash of a file without signature, step by step as the document has it."""
    pe = pefile.PE(data=data)
    checksum = pe.OPTIONAL_HEADER.get_field_absolute_offset("CheckSum")
    directory = pe.OPTIONAL_HEADER.DATA_DIRECTORY[4].get_field_absolute_offset("VirtualAddress")
    size = pe.OPTIONAL_HEADER.SizeOfHeaders
    parts = [data[:checksum], data[checksum + 4 : directory], data[directory + 8 : size]]
    counted = size
    for section in sorted(pe.sections, key=lambda section: section.PointerToRawData):
        parts.append(data[section.PointerToRawData :][: section.SizeOfRawData])
        counted += section.SizeOfRawData
    return hashlib.sha256(b"".join(parts) + data[counted:]).hexdigest()


def hashes(data):
    return {
        "as described": described(data),
        "LIEF": lief.PE.parse(list(data)).authentihash(lief.PE.ALGORITHMS.SHA_256).hex(),
        "virt-firmware": pesign.pe_authenticode_hash(pefile.PE(data=data)).hex(),
    }


print("versions:", *(f"{name} {importlib.metadata.version(name)}" for name in ("lief", "virt-firmware")))
found = {}
for gap in (0, 0x1000):
    print(f"a gap of {gap} bytes:")
    found[gap] = hashes(image(gap))
    for name, value in found[gap].items():
        print(f"  {name:14}", value)
assert len(set(found[0].values())) == 1 and len(set(found[0x1000].values())) == 3, "it is otherwise now"
PY
venv/bin/python check.py
