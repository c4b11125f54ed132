#!/bin/sh
# Starts seal, or says why this machine can't run it: where the C library is another one, the system would only say "not found".
self=$0
while [ -L "$self" ]; do
  target=$(readlink "$self")
  case $target in /*) self=$target ;; *) self=${self%/*}/$target ;; esac
done
case $self in */*) here=${self%/*} ;; *) here=. ;; esac
program=$here/../lib/seal/seal-linux-@ARCH@

fail() {
  printf 'seal: %s\n' "$1" >&2
  exit 3
}

[ -e @LOADER@ ] || {
  for file in /lib/ld-musl-*; do
    [ ! -e "$file" ] || fail "needs glibc 2.28 or newer, and this system has musl (${file##*/}): run it in a container of a distribution with glibc"
  done
  fail "this program is for @MACHINE@ with glibc 2.28 or newer, and this system has no @LOADER@"
}
# Before 2.34 the C library has its version in its name.
newest=
for file in /lib/@MULTIARCH@/libc-2.*.so /lib64/libc-2.*.so /usr/lib64/libc-2.*.so; do
  version=${file##*/libc-2.}
  version=${version%%[!0-9]*}
  [ -e "$file" ] && [ "${version:-0}" -gt "${newest:-0}" ] && newest=$version
done
[ "${newest:-28}" -ge 28 ] || fail "needs glibc 2.28 or newer, and this system has 2.$newest: run it in a container of a newer distribution"
exec "$program" "$@"
