#!/bin/sh
# LIEF 1.0.0 sees no signature in EFI programs that pesign up to 0.112 signed, as Debian does with fwupd.
#
# The content of an Authenticode signature begins with a type and value. For an image the type is SPC_PE_IMAGE_DATA
# (1.3.6.1.4.1.311.2.1.15), with flags and a file name. Old pesign wrote the same value under the type of a key purpose,
# individual code signing (1.3.6.1.4.1.311.2.1.21). Firmware, shim and sbverify do not look at the type, so such
# programs start. LIEF gives up on the whole signature: `signatures` is empty and verify_signature() answers
# NO_SIGNATURE, as if the file had never been signed. Nothing is raised; a line on the error output is all.
#
# Expected: one signature, by Debian Secure Boot Signer, as openssl reads it.   Seen: none.
#
# Needs a Debian 12 machine (apt and openssl), for the signed program.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
chmod 755 "$directory"
cd "$directory"
apt-get download --quiet=2 fwupd-amd64-signed=1:1.4+1 >/dev/null 2>&1
dpkg-deb --extract fwupd-amd64-signed_*.deb .
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check lief==1.0.0 pefile==2024.8.26
cat >check.py <<'PY'
import importlib.metadata
import struct
import subprocess

import lief
import pefile

PROGRAM = "usr/libexec/fwupd/efi/fwupdx64.efi.signed"
with open(PROGRAM, "rb") as file:
    data = file.read()
table = pefile.PE(data=data).OPTIONAL_HEADER.DATA_DIRECTORY[4]
length, _, kind = struct.unpack_from("<IHH", data, table.VirtualAddress)
assert kind == 2, "not PKCS#7"
message = data[table.VirtualAddress + 8 : table.VirtualAddress + length]
signers = subprocess.run(
    ["openssl", "pkcs7", "-inform", "DER", "-print_certs", "-noout"], input=message, capture_output=True, check=True
)
print("openssl:", signers.stdout.decode().split("\n")[0])
assert b"Debian Secure Boot Signer" in signers.stdout
# The type, in DER.
assert bytes.fromhex("060a2b060104018237020115") in message and bytes.fromhex("060a2b06010401823702010f") not in message

program = lief.PE.parse(PROGRAM)
print("lief version", importlib.metadata.version("lief"), "signatures:", len(program.signatures), program.verify_signature())
assert len(program.signatures) == 0 and program.verify_signature() == lief.PE.Signature.VERIFICATION_FLAGS.NO_SIGNATURE, "it is otherwise now"
PY
venv/bin/python check.py
