#!/bin/sh
# systemd-pcrlock 257 locks a UKI to sections that systemd-stub does not measure: empty ones.
#
# The stub measures name and content of a section into PCR 11 only if it has a size: an empty one is as good as none
# (PE_SECTION_VECTOR_IS_SET in its source), and systemd-measure, of the same package, takes it so. lock-uki writes two
# records for it all the same, of its name and of no bytes, and no event log has them. ukify makes such a section of a
# command line that it reads from an empty file. Nothing is said when the component is made; it never fits a boot.
#
# Expected: one PCR 11 of systemd-measure and of the records of lock-uki.
# Seen: two; without the two records for .cmdline, that of systemd-measure.
#
# Needs a Debian 12 machine (apt), whose sources lead to Debian 13 too, for systemd 257 and its libraries.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
chmod 755 "$directory"
cd "$directory"
mkdir -p apt/lists/partial apt/cache/archives/partial
sed s/bookworm/trixie/g /etc/apt/sources.list.d/debian.sources >apt/trixie.sources
trixie() {
  apt-get --quiet=2 -o Dir::Etc::SourceList="$directory/apt/trixie.sources" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$directory/apt/lists" -o Dir::Cache="$directory/apt/cache" "$@" >/dev/null 2>&1
}
trixie update
trixie download systemd=257.13-1~deb13u1 libsystemd-shared=257.13-1~deb13u1 systemd-ukify=257.13-1~deb13u1 \
  systemd-boot-efi=257.13-1~deb13u1 libacl1 libaudit1 libblkid1 libc6 libcap-ng0 libcap2 libcrypt1 libmount1 libpam0g \
  libpcre2-8-0 libseccomp2 libselinux1 libssl3t64 libzstd1 zlib1g
for package in *.deb; do dpkg-deb --extract "$package" .; done
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pefile==2024.8.26
seq 1 1000 >kernel
seq 1 100 >initrd
: >empty
venv/bin/python usr/bin/ukify build --linux=kernel --initrd=initrd --os-release='ID=check' --uname=6.12 --cmdline=@empty \
  --stub=usr/lib/systemd/boot/efi/linuxx64.efi.stub --output=uki.efi >/dev/null 2>&1
cat >check.py <<'PY'
import hashlib
import json
import subprocess

import pefile

LIBRARIES = "usr/lib/x86_64-linux-gnu"
MEASURED = (".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat")


def run(program, *arguments):
    start = ["usr/lib64/ld-linux-x86-64.so.2", "--library-path", f"{LIBRARIES}:{LIBRARIES}/systemd"]
    command = [*start, f"usr/lib/systemd/{program}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def replay(digests):
    pcr = bytes(32)
    for digest in digests:
        pcr = hashlib.sha256(pcr + bytes.fromhex(digest)).digest()
    return pcr.hex()


pe = pefile.PE("uki.efi")
contents = {}
for section in pe.sections:
    name = section.Name.rstrip(b"\0").decode()
    if name in MEASURED:
        contents[name] = section.get_data()[: section.Misc_VirtualSize]
        with open(f"section{name}", "wb") as file:
            file.write(contents[name])
assert len(contents) == len(MEASURED) and contents[".cmdline"] == b""

files = [f"--{name[1:]}=section{name}" for name in MEASURED]
answer = run("systemd-measure", "calculate", "--bank=sha256", "--phase=", "--json=short", *files)
computed = json.loads(answer)["sha256"][0]["hash"]
run("systemd-pcrlock", "lock-uki", "uki.efi", "--pcrlock=locked.json")
with open("locked.json") as file:
    records = [record for record in json.load(file)["records"] if record["pcr"] == 11]
locked = [one["digest"] for record in records for one in record["digests"] if one["hashAlg"] == "sha256"]
of_empty = [hashlib.sha256(data).hexdigest() for data in (b".cmdline\0", b"")]
others = [digest for digest in locked if digest not in of_empty]

print(run("systemd-pcrlock", "--version").split("\n")[0])
print("systemd-measure       ", computed)
print("lock-uki,", len(locked), "records  ", replay(locked))
print("lock-uki, other", len(others), "   ", replay(others))
assert replay(others) == computed
assert replay(locked) != computed and len(locked) - len(others) == 2, "it is otherwise now"
PY
venv/bin/python check.py
