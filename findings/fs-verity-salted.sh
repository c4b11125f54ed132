#!/bin/sh
# The crate fs-verity 0.2.0 computes another digest of a file with a salt than Linux does.
#
# A salt stands before each block of the Merkle tree when it is hashed, padded to the hash's own block size. The digest
# of the file is the hash of the descriptor, which has the salt as a field, and nothing stands before that one
# (Documentation/filesystems/fsverity.rst, "fs-verity descriptor"; fsverity_compute_digest of libfsverity). The crate
# puts the salt before the descriptor too, so a digest that it computed ahead is never the one that the kernel measures.
#
# Expected: the digest of `fsverity digest`, with and without a salt.   Seen: the same without, another one with.
#
# Needs cargo and a Debian 12 machine (apt), for fsverity.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
chmod 755 "$directory"
cd "$directory"
apt-get download --quiet=2 fsverity=1.5-1.1 libfsverity0=1.5-1.1 >/dev/null 2>&1
for package in *.deb; do dpkg-deb --extract "$package" .; done
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "check"
version = "0.0.0"
edition = "2021"

[dependencies]
fs-verity = "=0.2.0"
hex = "=0.4.3"
sha2 = "=0.10.9"
TOML
cat >src/main.rs <<'RS'
use fs_verity::FsVerityDigest;
use sha2::{Digest, Sha256};

fn main() {
    let file = std::fs::read("file").unwrap();
    let mut unsalted = FsVerityDigest::<Sha256>::new();
    unsalted.update(&file);
    println!("sha256:{}", hex::encode(unsalted.finalize()));
    let mut salted = FsVerityDigest::<Sha256, [u8; 2]>::new_with_salt([0xab, 0xcd]);
    salted.update(&file);
    println!("sha256:{}", hex::encode(salted.finalize()));
}
RS
seq 1 20000 >file
library=$(dirname "$(find . -name 'libfsverity.so.0')")
fsverity() { LD_LIBRARY_PATH=$library usr/bin/fsverity digest file --compact "$@"; }
cargo run --quiet >crate.txt
printf 'sha256:%s\n' "$(fsverity)" "$(fsverity --salt=abcd)" >tool.txt
line() { sed -n "$1p" "$2"; }
show() {
  printf '%s:\n  fsverity 1.5           %s\n' "$2" "$(line "$1" tool.txt)"
  printf '  crate fs-verity 0.2.0  %s\n' "$(line "$1" crate.txt)"
}
show 1 'without a salt'
show 2 'with a salt'
if [ "$(line 1 tool.txt)" != "$(line 1 crate.txt)" ] || [ "$(line 2 tool.txt)" = "$(line 2 crate.txt)" ]; then
  echo "it is otherwise now" >&2
  exit 1
fi
