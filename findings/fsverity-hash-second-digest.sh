#!/bin/sh
# fsverity-hash 0.0.5 gives a file's digest once: the second time it is another one, or an error.
#
# FSVerityHash has the methods of hashlib's objects: update, digest, hexdigest. Of those digest is asked for the data so
# far, as often as one likes, and more data can follow. Here digest adds the hash of the last block to the levels above
# it, and leaves it there. Asked again, the tree has one block more than the file; where a block of hashes was full, an
# assertion fails. Files of one block have no levels, so a trial with a short text shows nothing.
#
# Expected: one digest three times: at once, again, and by another object that was asked in the middle too.
# Seen: three digests for a file of four blocks, an AssertionError for one of 128.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check fsverity-hash==0.0.5
cat >check.py <<'PY'
import hashlib
import importlib.metadata

from fsverity_hash import FSVerityHash


def digests(new, data):
    """By one object at once and again, and by another one that is asked after half of the data."""
    whole, halves = new(), new()
    whole.update(data)
    seen = [whole.hexdigest()]
    try:
        seen.append(whole.hexdigest())
        halves.update(data[: len(data) // 2])
        halves.hexdigest()
        halves.update(data[len(data) // 2 :])
        seen.append(halves.hexdigest())
    except AssertionError as error:
        seen.append(repr(error))
    return seen


def show(name, seen):
    print(name, *seen, sep="\n  ")
    return len(set(seen))


print("fsverity-hash version", importlib.metadata.version("fsverity-hash"))
blocks = [bytes([number]) * 4096 for number in range(128)]
one, four, full = (b"".join(blocks[:count]) for count in (1, 4, 128))
assert show("hashlib, four blocks", digests(hashlib.sha256, four)) == 1
assert show("fsverity-hash, one block", digests(FSVerityHash, one)) == 1
assert show("fsverity-hash, four blocks", digests(FSVerityHash, four)) == 3, "it is otherwise now"
failed = digests(FSVerityHash, full)
assert show("fsverity-hash, 128 blocks", failed) == 2 and failed[1] == "AssertionError()", "it is otherwise now"
PY
venv/bin/python check.py
