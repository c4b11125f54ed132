#!/bin/sh
# in-toto-attestation 0.9.3, the framework's own library for Python, refuses statements without a predicate, which the
# framework allows.
#
# A statement may say all that it has to say by its predicateType: predicate is optional, and no predicate counts as an
# empty one (in-toto Attestation Framework 1.1, "Statement"). Statement.validate() demands one with at least one field.
# sigstore 4.5.1 reads all three statements, so an attestation that was signed and verified with it can
# be refused by the next program in line.
#
# Expected: valid, valid, valid, by both.
# Seen: so by sigstore; by in-toto-attestation valid, then twice "Predicate object required".
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check in-toto-attestation==0.9.3 sigstore==4.5.1
cat >check.py <<'PY'
import importlib.metadata
import json

from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message
from sigstore import dsse

BASE = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "image", "digest": {"sha256": "ab" * 32}}],
    "predicateType": "https://example.org/passed-the-boot-test/v1",
}
PREDICATES = {"a field": {"predicate": {"by": "CI"}}, "an empty one": {"predicate": {}}, "none": {}}


def in_toto_attestation(text):
    Statement.copy_from_pb(json_format.Parse(text, Message())).validate()


def sigstore(text):
    dsse.Statement(text)


def judge(read, text):
    try:
        read(text)
    except (ValueError, dsse.Error) as error:
        return str(error)
    return "valid"


seen = {}
for name, read in {"in-toto-attestation": in_toto_attestation, "sigstore": sigstore}.items():
    print(name, importlib.metadata.version(name))
    seen[name] = [judge(read, json.dumps({**BASE, **predicate}).encode()) for predicate in PREDICATES.values()]
    for predicate, result in zip(PREDICATES, seen[name]):
        print(f"  predicate: {predicate:13}", result)
assert seen["sigstore"] == ["valid"] * 3
assert seen["in-toto-attestation"] == ["valid", *["Predicate object required"] * 2], "it is otherwise now"
PY
venv/bin/python check.py
