#!/bin/sh
# uapi-version 0.4.0 counts the leading zeros of a number, so of two versions it takes the wrong one for the newer.
#
# The Version Format Specification (UAPI.10) compares runs of digits as numbers, without zeros at their start (step 7
# of the comparison). The crate skips zeros only as long as another zero follows, then takes the longer number
# for the bigger one: 09 has two digits and is more than 9, and 08 is more than 9. Where all numbers of a place are
# equally long, as in 24.04 and 24.10, nothing is seen of it. bootc 1.16.9 sorts its boot entries with this crate.
#
# Expected, and the answer of systemd-analyze compare-versions: 2024.08 < 2024.9, 1.05 < 1.9, 1.09 = 1.9.
# Seen: the first one is greater each time.
#
# Needs cargo; systemd-analyze is asked too where there is one.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "check"
version = "0.0.0"
edition = "2021"

[dependencies]
uapi-version = "=0.4.0"
TOML
cat >src/main.rs <<'RS'
use std::cmp::Ordering;
use uapi_version::Version;

const PAIRS: [(&str, &str, Ordering); 3] = [
    ("2024.08", "2024.9", Ordering::Less),
    ("1.05", "1.9", Ordering::Less),
    ("1.09", "1.9", Ordering::Equal),
];

fn main() {
    let mut seen = Vec::new();
    for (one, other, expected) in PAIRS {
        let found = Version::from(one).cmp(&Version::from(other));
        println!("{one} to {other}: {found:?}, by the specification {expected:?}");
        seen.push(found);
    }
    // The same without the zeros.
    assert_eq!(Version::from("2024.8").cmp(&Version::from("2024.9")), Ordering::Less);
    assert!(seen.iter().all(|found| *found == Ordering::Greater), "it is otherwise now");
}
RS
cargo run --quiet
if command -v systemd-analyze >/dev/null; then
  for pair in '2024.08 2024.9' '1.05 1.9' '1.09 1.9'; do
    # It exits with 11 or 12 for two versions that are not equal.
    # shellcheck disable=SC2086
    printf 'systemd-analyze: %s\n' "$(systemd-analyze compare-versions $pair || true)"
  done
fi
