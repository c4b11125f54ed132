#!/bin/sh
# Node 24.21.0: KeyObject.equals of keys of two kinds makes the next createPrivateKey fail.
#
# The documentation of equals says: "Returns true or false depending on whether the keys have exactly the same type,
# value, and parameters." Of an RSA and an EC key it does return false, but OpenSSL's error "different key types" stays
# in its queue, where createPrivateKey finds it and takes it for its own. Node 20.20.2 does the same.
#
# Expected: false, read, read.   Seen: false, error:03000065:digital envelope routines::different key types, read.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save node@24.21.0 >/dev/null
cat >check.mjs <<'JS'
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = ec.privateKey.export({ type: "pkcs8", format: "pem" });
const read = () => {
  try {
    createPrivateKey(pem);
    return "read";
  } catch (error) {
    return error.message;
  }
};
const seen = [rsa.publicKey.equals(ec.publicKey), read(), read()];
console.log(`node ${process.versions.node}, OpenSSL ${process.versions.openssl}`);
for (const one of seen) console.log(one);
if (seen[0] !== false || !/different key types/.test(seen[1]) || seen[2] !== "read") process.exitCode = 1;
JS
./node_modules/.bin/node check.mjs
