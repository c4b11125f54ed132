#!/bin/sh
# sigstore-go 1.2.1 refuses attestations that @sigstore/bundle 4.0.0 makes for a key with a name.
#
# The hint of toDSSEBundle is any text that says which key a signature is of. It goes into the bundle, and as keyid into
# the envelope. A keyid may narrow the choice of keys, and what it looks like is up to those who sign and verify (DSSE
# 1.0.0, "Signature Definition"). sigstore-go, on which cosign is built, knows one form, the fingerprint that SSH gives
# the key. Faced with another one it does not try the key, not even the only one that it was given, and says that it
# found no signature. Without a hint the same signature is valid.
#
# Expected: four valid bundles: without a hint, with a name, the hash of the key, its SSH fingerprint.
# Seen: so by @sigstore/verify 3.1.1; by sigstore-go the first and the last only.
#
# Versions: sigstore-go 1.2.1, @sigstore/bundle 4.0.0, @sigstore/verify 3.1.1.
#
# Needs npm and Go 1.25 or newer; builds the library, a minute of CPU.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save --ignore-scripts @sigstore/bundle@4.0.0 @sigstore/core@3.2.1 @sigstore/verify@3.1.1 \
  >/dev/null
cat >check.mjs <<'JS'
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { bundleToJSON, toDSSEBundle } from "@sigstore/bundle";
import { dsse } from "@sigstore/core";
import { toSignedEntity, Verifier } from "@sigstore/verify";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
writeFileSync("key.pub", publicKey.export({ type: "spki", format: "pem" }));
const hashOf = (bytes) => `SHA256:${createHash("sha256").update(bytes).digest("base64")}`;
const hash = hashOf(publicKey.export({ type: "spki", format: "der" }));
// SSH's form of the key (RFC 5656, 3.1): two names and the point, each after its length.
const { x, y } = publicKey.export({ format: "jwk" });
const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
const fields = [Buffer.from("ecdsa-sha2-nistp256"), Buffer.from("nistp256"), point];
const encoded = fields.flatMap((field) => [Buffer.from([0, 0, 0, field.length]), field]);
const ssh = hashOf(Buffer.concat(encoded)).replace("=", "");

const artifactType = "application/vnd.in-toto+json";
const statement = {
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "image", digest: { sha256: "ab".repeat(32) } }],
  predicateType: "https://example.org/passed-the-boot-test/v1",
  predicate: { by: "CI" },
};
const artifact = Buffer.from(JSON.stringify(statement));
const signature = sign("sha256", dsse.preAuthEncoding(artifactType, artifact), privateKey);

const verifier = new Verifier(
  {
    certificateAuthorities: [],
    timestampAuthorities: [],
    tlogs: [],
    ctlogs: [],
    publicKey: () => ({ publicKey, validFor: () => true }),
  },
  { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 },
);
for (const [name, keyHint] of Object.entries({ none: undefined, name: "release-key-1", hash, ssh })) {
  const bundle = toDSSEBundle({ artifact, artifactType, signature, keyHint });
  verifier.verify(toSignedEntity(bundle)); // throws if it is not valid
  console.log(`@sigstore/verify 3.1.1  ${name.padEnd(4)}  valid`);
  writeFileSync(`${name}.json`, JSON.stringify(bundleToJSON(bundle)));
}
JS
node check.mjs
cat >go.mod <<'MOD'
module check

go 1.25.0

require (
	github.com/sigstore/sigstore v1.10.8
	github.com/sigstore/sigstore-go v1.2.1
)
MOD
cat >main.go <<'GO'
package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	block, _ := pem.Decode(must(os.ReadFile("key.pub")))
	key := must(signature.LoadVerifier(must(x509.ParsePKIXPublicKey(block.Bytes)), crypto.SHA256))
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(key, time.Time{}, time.Time{}), nil
	})
	verifier := must(verify.NewVerifier(trusted, verify.WithNoObserverTimestamps()))
	policy := verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithKey())
	asDescribed := true
	for _, name := range []string{"none", "name", "hash", "ssh"} {
		_, err := verifier.Verify(must(bundle.LoadJSONFromPath(name+".json")), policy)
		result := "valid"
		if err != nil {
			result = err.Error()
		}
		fmt.Printf("sigstore-go 1.2.1       %-4s  %s\n", name, result)
		asDescribed = asDescribed && (err == nil) == (name == "none" || name == "ssh")
	}
	if !asDescribed {
		fmt.Fprintln(os.Stderr, "it is otherwise now")
		os.Exit(1)
	}
}
GO
GOFLAGS=-mod=mod go build -o check . 2>/dev/null
./check
