#!/bin/sh
# The crate uefi-eventlog 0.3.0 gives the vendor GUID of measured variables in another byte order than GUIDs of disks.
#
# An EFI_GUID begins with three little-endian numbers, wherever it is stored (UEFI 2.10, appendix A), and so the crate
# reads those of a measured partition table. The one of UEFI_VARIABLE_DATA, the event of each Secure Boot variable, it
# takes for bytes in the order of text. What it gives is a good Uuid, but nobody's: a program that looks for PK, KEK, db
# and dbx by vendor and name, as variables are named, finds them in no log.
#
# Expected: twice the GUID that was written, EFI_GLOBAL_VARIABLE.
# Seen: the disk's is 8be4df61-93ca-11d2-aa0d-00e098032b8c, the variable's 61dfe48b-ca93-d211-aa0d-00e098032b8c.
#
# Needs cargo, OpenSSL's headers and python3. Builds the crate, half a minute of CPU.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
cat >log.py <<'PY'
import hashlib
import struct
import uuid

GUID = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c").bytes_le
SHA256 = 0x0B
NO_ACTION, VARIABLE_DRIVER_CONFIG, GPT_EVENT = 3, 0x80000001, 0x80000006


def event(pcr, kind, data):
    digest = hashlib.sha256(data).digest()
    return struct.pack("<IIIH", pcr, kind, 1, SHA256) + digest + struct.pack("<I", len(data)) + data


specification = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 105, 2, 1, SHA256, 32, 0)
log = struct.pack("<II20sI", 0, NO_ACTION, bytes(20), len(specification)) + specification
# UEFI_VARIABLE_DATA: vendor, length of the name in characters, length of the value.
log += event(7, VARIABLE_DRIVER_CONFIG, GUID + struct.pack("<QQ", 10, 1) + "SecureBoot".encode("utf-16-le") + b"\x01")
# UEFI_GPT_DATA: the table's header, the number of partitions, and one partition.
header = b"EFI PART" + struct.pack("<IIIIQQQQ", 0x10000, 92, 0, 0, 1, 999, 34, 966) + GUID
header += struct.pack("<QIII", 2, 1, 128, 0)
partition = GUID + GUID + struct.pack("<QQQ", 40, 900, 0) + "disk".encode("utf-16-le").ljust(72, b"\0")
log += event(5, GPT_EVENT, header + struct.pack("<Q", 1) + partition)
with open("log", "wb") as file:
    file.write(log)
PY
python3 log.py
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "check"
version = "0.0.0"
edition = "2021"

[dependencies]
fallible-iterator = "=0.2.0"
uefi-eventlog = "=0.3.0"
TOML
cat >src/main.rs <<'RS'
use fallible_iterator::FallibleIterator;
use uefi_eventlog::{parsed::ParsedEventData, Parser};

fn main() {
    let mut parser = Parser::new(std::fs::File::open("log").unwrap());
    while let Some(event) = parser.next().unwrap() {
        match event.parsed_data {
            Some(ParsedEventData::EfiVariable(variable)) => println!("variable {}", variable.variable_guid),
            Some(ParsedEventData::GptInfo { header, .. }) => println!("disk     {}", header.disk_guid),
            _ => (),
        }
    }
}
RS
cargo run --quiet | tee seen
cat >swapped <<'TXT'
variable 61dfe48b-ca93-d211-aa0d-00e098032b8c
disk     8be4df61-93ca-11d2-aa0d-00e098032b8c
TXT
if ! cmp -s seen swapped; then
  echo "it is otherwise now" >&2
  exit 1
fi
