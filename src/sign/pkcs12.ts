/** Opens PKCS#12 files (RFC 7292) with node-forge, which is imported only here and only when there is one to open. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import type forge from "node-forge";
import { inputError, SealError } from "../errors.ts";
import { bitString, DerReader, sequence, TAG } from "./der.ts";
import type { KeyFile } from "./key-file.ts";

type Forge = typeof forge;

/** A second per few hundred thousand rounds in script; OpenSSL writes 2,048, careful people up to a million. */
const MAX_MAC_ROUNDS = 2_000_000;

/**
 * Opens a PKCS#12 file.
 * @param passphrase its bytes in UTF-8; null tries files without one
 * @throws SealError `input` when it is damaged, when the passphrase is wrong, or when it does not hold one private key
 */
export async function openPkcs12(bytes: Uint8Array, label: string, passphrase: Uint8Array | null): Promise<KeyFile> {
  const { default: library } = await import("node-forge");
  try {
    return read(library, bytes, label, passphrase);
  } catch (error) {
    if (error instanceof SealError) throw error;
    throw inputError(label, "is no PKCS#12 file that can be read, or it is damaged", error);
  }
}

function read(library: Forge, bytes: Uint8Array, label: string, passphrase: Uint8Array | null): KeyFile {
  const outer = library.asn1.fromDer(library.util.createBuffer(Buffer.from(bytes)));
  checkMac(library, outer, label);
  const bags = unlock(library, outer, label, passphrase).safeContents.flatMap(({ safeBags }) => safeBags);
  const { oids } = library.pki;
  const keyBags = bags.filter(({ type }) => type === oids["pkcs8ShroudedKeyBag"] || type === oids["keyBag"]);
  const [keyBag, second] = keyBags;
  if (keyBag === undefined) throw inputError(label, "holds no private key; export it again with the key");
  if (second !== undefined) throw inputError(label, "holds several private keys; give a file with one");
  const certificates = bags
    .filter(({ type }) => type === oids["certBag"])
    .map((bag) => ({ der: certificateDer(library, bag, label), label }));
  return { privateKey: { key: privateKey(library, keyBag), label }, certificates };
}

/** Without a MAC nothing tells a wrong passphrase from a right one. */
function checkMac(library: Forge, outer: forge.asn1.Asn1, label: string): void {
  const mac = Array.isArray(outer.value) ? outer.value[2] : undefined;
  if (mac === undefined) {
    throw inputError(label, "this PKCS#12 file has no integrity check (MAC); export it again with one");
  }
  const rounds = Array.isArray(mac.value) ? mac.value[2] : undefined;
  if (rounds === undefined) return;
  if (typeof rounds.value !== "string" || rounds.value.length > 4) {
    throw inputError(label, "this PKCS#12 file is damaged: its iteration count is no number");
  }
  const count = library.asn1.derToInteger(library.util.createBuffer(rounds.value));
  if (count > MAX_MAC_ROUNDS) {
    throw inputError(label, `opening it would take ${count} rounds; no sound PKCS#12 file needs that many`);
  }
}

function unlock(
  library: Forge,
  outer: forge.asn1.Asn1,
  label: string,
  passphrase: Uint8Array | null,
): forge.pkcs12.Pkcs12Pfx {
  const text = passphrase === null ? "" : Buffer.from(passphrase).toString("utf8");
  try {
    return library.pkcs12.pkcs12FromAsn1(outer, false, text);
  } catch (error) {
    if (passphrase === null) {
      throw inputError(
        label,
        "is encrypted, or damaged. Give its passphrase with --passphrase-file FILE or --passphrase-env NAME",
        error,
      );
    }
    const beyondAscii = /[^\0-\x7f]/.test(text)
      ? " (passphrases beyond ASCII are not supported in PKCS#12: convert it with openssl pkcs12)"
      : "";
    throw inputError(
      label,
      `can't be opened with this passphrase: it is wrong, or the file is damaged${beyondAscii}`,
      error,
    );
  }
}

/** forge decodes RSA keys and leaves all others as ASN.1. */
function privateKey(library: Forge, bag: forge.pkcs12.Bag): KeyObject {
  if (bag.key)
    return createPrivateKey({
      key: encode(library, library.pki.privateKeyToAsn1(bag.key)),
      format: "der",
      type: "pkcs1",
    });
  return createPrivateKey({ key: encode(library, bag.asn1), format: "der", type: "pkcs8" });
}

/**
 * The certificate as it was. forge keeps the signed part (or, of certificates with other than RSA keys, all of it), and
 * would write the algorithm around it in a way of its own: it is the one that stands inside (RFC 5280 4.1.1.2).
 */
function certificateDer(library: Forge, bag: forge.pkcs12.Bag, label: string): Uint8Array {
  if (!bag.cert) return encode(library, bag.asn1);
  const tbs = encode(library, bag.cert.tbsCertificate);
  const fields = new DerReader(tbs, label).enter("TBSCertificate");
  if (fields.nextTag !== TAG.integer) fields.any("version");
  fields.integer("serialNumber");
  const algorithm = fields.value(TAG.sequence, "signature").encoded;
  return sequence(tbs, algorithm, bitString(Buffer.from(bag.cert.signature, "latin1")));
}

function encode(library: Forge, value: forge.asn1.Asn1): Buffer {
  return Buffer.from(library.asn1.toDer(value).getBytes(), "latin1");
}
