// A program for --signer, as seal calls it: `node signer.mjs KEYFILE`. Test keys only.
import { privateEncrypt, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const key = readFileSync(process.argv[2]);
const input = readFileSync(0);
// RFC 8017 9.2: DigestInfo of SHA-256 before the digest.
const digestInfo = Buffer.concat([Buffer.from("3031300d060960864801650304020105000420", "hex"), input]);
const signsData = process.env.SEAL_SIGNER_INPUT === "data";
process.stdout.write(signsData ? sign("sha256", input, key) : privateEncrypt(key, digestInfo));
