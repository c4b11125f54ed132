#!/bin/sh
# node-forge 1.4.3 writes a signed attribute of PKCS#7 that it does not know as one without a value, and says nothing.
#
# createSignedData takes attributes by type and value, and writes the type as given. Of three types (content type,
# message digest, signing time) it encodes the value; of any other it drops it and writes an empty SET, also where the
# value is ASN.1 already. RFC 2315 9.2 and RFC 5652 5.3 want at least one value. A signer of Authenticode gives
# SPC_SP_OPUS_INFO (1.3.6.1.4.1.311.2.1.12) so: the signature is made over the broken attribute, and it verifies.
#
# Expected: SET { SEQUENCE {} } as given, or an error.   Seen: behind the type stand the bytes 31 00.
set -e
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
npm install --silent --no-save --ignore-scripts node-forge@1.4.3 >/dev/null
node -p "'node-forge version ' + JSON.parse(fs.readFileSync('node_modules/node-forge/package.json')).version"
cat >check.cjs <<'JS'
const forge = require("node-forge");
const { asn1, md, pkcs7, pki, util } = forge;
const keys = pki.rsa.generateKeyPair(2048);
const certificate = pki.createCertificate();
certificate.publicKey = keys.publicKey;
certificate.serialNumber = "01";
certificate.validity.notBefore = new Date(0);
certificate.validity.notAfter = new Date(2 ** 40);
certificate.setSubject([{ name: "commonName", value: "x" }]);
certificate.setIssuer(certificate.subject.attributes);
certificate.sign(keys.privateKey, md.sha256.create());
const message = pkcs7.createSignedData();
message.content = util.createBuffer("content");
message.addCertificate(certificate);
message.addSigner({
  key: keys.privateKey,
  certificate,
  digestAlgorithm: pki.oids.sha256,
  authenticatedAttributes: [
    { type: pki.oids.contentType, value: pki.oids.data },
    { type: pki.oids.messageDigest },
    { type: "1.3.6.1.4.1.311.2.1.12", value: asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, []) },
  ],
});
message.sign();
const der = Buffer.from(asn1.toDer(message.toAsn1()).getBytes(), "latin1");
const type = Buffer.from("060a2b06010401823702010c", "hex");
const at = der.indexOf(type) + type.length;
const set = der.subarray(at, at + 2 + der[at + 1]).toString("hex");
console.log(`given 31023000, written ${set}`);
if (set !== "3100") process.exitCode = 1;
JS
node check.cjs
