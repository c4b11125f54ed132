#!/bin/sh
# nitro-tpm-pcr-compute 1.1.2, which computes the PCRs that a NitroTPM of AWS will have, reads a db of one signature
# list only.
#
# db is a row of EFI_SIGNATURE_LISTs (UEFI 2.10, 32.4.1). All entries of a list have one size, so two certificates of
# different length need a list each, and tools that append to a db add a list in any case: the db of nearly every
# machine has several. The program takes what follows the first list's header for entries of that list. With one list it
# prints PCR 4, 7 and 12; with the same list and a second one behind it ends with an error, so that no PCR is had for
# such a machine.
#
# Expected: a PCR 7 for either db, two different ones.   Seen: one, then "Could not parse signature database file".
#
# Needs cargo, openssl and python3; builds the program, two minutes of CPU.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug --root "$directory" nitro-tpm-pcr-compute --version 1.1.2
for name in PK KEK first second-with-a-longer-name; do
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$name.key" -outform DER -out "$name.der" -days 30 -subj "/CN=$name" 2>/dev/null
done
cat >lists.py <<'PY'
import struct
import uuid

CERT_X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072").bytes_le
OWNER = uuid.UUID("11111111-2222-4333-8444-555555555555").bytes_le


def signature_list(name):
    with open(f"{name}.der", "rb") as file:
        entry = OWNER + file.read()
    return CERT_X509 + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry


FILES = {"PK": ["PK"], "KEK": ["KEK"], "one": ["first"], "two": ["first", "second-with-a-longer-name"]}
for name, certificates in FILES.items():
    with open(f"{name}.esl", "wb") as file:
        file.write(b"".join(map(signature_list, certificates)))
PY
python3 lists.py
bin/nitro-tpm-pcr-compute --PK PK.esl --KEK KEK.esl --db one.esl >one.json
printf 'one list: %s\n' "$(grep PCR7 one.json)"
if bin/nitro-tpm-pcr-compute --PK PK.esl --KEK KEK.esl --db two.esl >two.json 2>two.log; then
  echo "two lists: $(grep PCR7 two.json)"
  echo "it is otherwise now" >&2
  exit 1
fi
printf 'two lists: %s\n' "$(head -n 1 two.log)"
grep -q 'Could not parse signature database file' two.log
