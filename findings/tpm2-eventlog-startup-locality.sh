#!/bin/sh
# tpm2_eventlog 5.4 and uefi-eventlog 0.3.0 make two different PCR 0s of one event log, and neither is the TPM's.
#
# An EV_NO_ACTION event is never extended. One of them, StartupLocality, says from where the TPM was started, and that
# number is what PCR 0 begins with: 3 where the CPU measures the first firmware, as with Intel's TXT, else 0 (TCG PC
# Client Platform Firmware Profile 1.05, 10.4.5.3). tpm2_eventlog of Debian 12 extends the event's digest, which is all
# zeros, and begins at 0; 5.7 does as described. The crate uefi-eventlog leaves the event out and begins at 0 too, so
# that it is right by chance where the number is 0. A quote of PCR 0 seems to be forged then, and the machine is not.
#
# Expected: one PCR 0 three times, for each of two logs.
# Seen: tpm2_eventlog has another one for both, uefi-eventlog for the locality 3.
#
# Needs cargo, OpenSSL's headers and a Debian 12 machine (apt, and libcurl3-gnutls, as git has it), for tpm2-tools.
# Builds the crate, half a minute of CPU.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
chmod 755 "$directory"
cd "$directory"
apt-get download --quiet=2 tpm2-tools=5.4-1 libtss2-esys-3.0.2-0=3.2.1-3 libtss2-mu0=3.2.1-3 libtss2-rc0=3.2.1-3 \
  libtss2-sys1=3.2.1-3 libtss2-tctildr0=3.2.1-3 >/dev/null 2>&1
for package in *.deb; do dpkg-deb --extract "$package" .; done
cat >logs.py <<'PY'
import hashlib
import struct

SHA256 = 0x0B
NO_ACTION, CRTM_VERSION = 3, 8


def event(kind, data, digest):
    return struct.pack("<IIIH", 0, kind, 1, SHA256) + digest + struct.pack("<I", len(data)) + data


def extend(pcr, digest):
    return hashlib.sha256(pcr + digest).digest()


specification = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 105, 2, 1, SHA256, 32, 0)
version = "1.0\0".encode("utf-16-le")
measured = hashlib.sha256(version).digest()
values = {"extended": extend(extend(bytes(32), bytes(32)), measured)}
for locality in (0, 3):
    log = struct.pack("<II20sI", 0, NO_ACTION, bytes(20), len(specification)) + specification
    log += event(NO_ACTION, b"StartupLocality\0" + bytes([locality]), bytes(32))
    log += event(CRTM_VERSION, version, measured)
    with open(f"log{locality}", "wb") as file:
        file.write(log)
    values[f"described{locality}"] = extend(bytes(31) + bytes([locality]), measured)
for name, value in values.items():
    with open(name, "w") as file:
        print(value.hex(), file=file)
PY
python3 logs.py
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "check"
version = "0.0.0"
edition = "2021"

[dependencies]
fallible-iterator = "=0.2.0"
hex = "=0.4.3"
tpmless-tpm2 = "=0.3.3"
uefi-eventlog = "=0.3.0"
TOML
cat >src/main.rs <<'RS'
use fallible_iterator::FallibleIterator;
use tpmless_tpm2::DigestAlgorithm;
use uefi_eventlog::Parser;

fn main() {
    for log in std::env::args().skip(1) {
        let mut parser = Parser::new(std::fs::File::open(log).unwrap());
        while parser.next().unwrap().is_some() {}
        println!("{}", hex::encode(parser.pcrs().pcr_algo_value(0, DigestAlgorithm::Sha256).unwrap()));
    }
}
RS
cargo run --quiet -- log0 log3 >crate.txt
libraries=$(dirname "$(find "$directory/usr" -name 'libtss2-esys.so.0')")
of_tool() { LD_LIBRARY_PATH=$libraries usr/bin/tpm2_eventlog "log$1" | sed -n 's/^ *0 *: 0x//p'; }
show() { printf '%s:\n  as described         %s\n  tpm2_eventlog 5.4    %s\n  uefi-eventlog 0.3.0  %s\n' "$@"; }
for locality in 0 3; do of_tool $locality >"tool$locality"; done
sed -n 1p crate.txt >crate0
sed -n 2p crate.txt >crate3
for locality in 0 3; do
  show "started from locality $locality" "$(cat described$locality)" "$(cat tool$locality)" "$(cat crate$locality)"
done
if ! { cmp -s tool0 extended && cmp -s tool3 extended && cmp -s crate0 described0 && cmp -s crate3 described0; }; then
  echo "it is otherwise now" >&2
  exit 1
fi
