#!/bin/sh
# pefile 2024.8.26 takes flags that are set by their names on a header, and writes the file without them.
#
# FILE_HEADER of a parsed file has an attribute for each flag of Characteristics (IMAGE_FILE_LOCAL_SYMS_STRIPPED and its
# kin), which can be assigned like all other fields. write() packs the numeric field alone, and nothing brings the two
# together. A program that sets such a flag sees it as set, and its output has it not: ukify does so after it cut off a
# stub's symbol table, so UKIs keep the Characteristics of their stub.
#
# Expected: 0x26 after the flag 0x4 was added to 0x22, as when the number itself is assigned.
# Seen: 0x22, and the flag is False when the output is read.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
# distlib has small PE files, the launchers of Python's scripts.
venv/bin/pip install --quiet --disable-pip-version-check pefile==2024.8.26 distlib==0.3.9
cat >check.py <<'PY'
import importlib.metadata
import pathlib

import distlib
import pefile

launcher = pathlib.Path(distlib.__file__).parent / "t64.exe"


def written(change):
    pe = pefile.PE(str(launcher))
    change(pe.FILE_HEADER)
    print("  in memory:", pe.FILE_HEADER.IMAGE_FILE_LINE_NUMS_STRIPPED, hex(pe.FILE_HEADER.Characteristics))
    header = pefile.PE(data=bytes(pe.write())).FILE_HEADER
    print("  written:  ", header.IMAGE_FILE_LINE_NUMS_STRIPPED, hex(header.Characteristics))
    return header.Characteristics


def by_name(header):
    header.IMAGE_FILE_LINE_NUMS_STRIPPED = True


def by_number(header):
    header.Characteristics |= pefile.IMAGE_CHARACTERISTICS["IMAGE_FILE_LINE_NUMS_STRIPPED"]


print("pefile version", importlib.metadata.version("pefile"))
print("flag set by its name:")
named = written(by_name)
print("flag set in the number:")
numbered = written(by_number)
assert (named, numbered) == (0x22, 0x26), "it is otherwise now"
PY
venv/bin/python check.py
