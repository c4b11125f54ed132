/** The keys of signed PCR policies, from the files that ukify takes. */
import { createPublicKey, type KeyObject, sign, X509Certificate } from "node:crypto";
import { type NamedBytes, utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { checkPolicyKey, type PolicyKey } from "../pe/pcr-policy.ts";
import { openKeyFile } from "./key-file.ts";
import { isSameKey } from "./same-key.ts";

/**
 * A private key that signs policies.
 * @param publicKey its public key; null: derived
 * @throws SealError `input` for a file that holds no key, a key that is not RSA, or keys that don't belong together
 */
export async function openPolicyKey(
  file: NamedBytes,
  passphrase: Uint8Array | null,
  publicKey: { readonly key: KeyObject; readonly subject: string } | null,
): Promise<PolicyKey> {
  const { privateKey } = await openKeyFile(file.bytes, file.subject, passphrase);
  checkPolicyKey(privateKey.key, file.subject);
  const own = createPublicKey(privateKey.key);
  if (publicKey !== null && !isSameKey(own, publicKey.key)) {
    throw inputError(publicKey.subject, `does not belong to ${file.subject}. Give the keys in the same order`);
  }
  return { publicKey: own, sign: async (message) => sign("sha256", message, privateKey.key) };
}

/** A public key in PEM. @throws SealError `input` when it is not one, or not RSA */
export function readPublicKey({ bytes, subject }: NamedBytes): KeyObject {
  const text = Buffer.from(bytes).toString("latin1");
  // node:crypto would derive a public key from a private one, which would then be embedded.
  if (!/-----BEGIN (?:RSA )?PUBLIC KEY-----/.test(text) || text.includes("PRIVATE KEY-----")) {
    throw inputError(subject, "is not a public key in PEM. Make it with: openssl pkey -pubout");
  }
  return rsaKey(() => createPublicKey(text), subject);
}

/** The public key of a certificate, PEM or DER. @throws SealError `input` when it is neither, or its key is not RSA */
export function readCertificateKey({ bytes, subject }: NamedBytes): KeyObject {
  return rsaKey(() => new X509Certificate(bytes).publicKey, subject);
}

function rsaKey(read: () => KeyObject, subject: string): KeyObject {
  let key: KeyObject;
  try {
    key = read();
  } catch (error) {
    throw inputError(subject, "can't be read as a public key or certificate", error);
  }
  checkPolicyKey(key, subject);
  return key;
}

/** SubjectPublicKeyInfo in PEM, as it goes into `.pcrpkey`. */
export function publicKeyPem(key: KeyObject): Uint8Array {
  return utf8(key.export({ format: "pem", type: "spki" }).toString());
}
