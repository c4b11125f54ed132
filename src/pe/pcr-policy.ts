/**
 * Signed PCR 11 policies: the content of `.pcrsig`, by which a TPM unlocks secrets for every UKI that the holder of a
 * key approves (systemd-measure(1); TPM 2.0 library, part 3, TPM2_PolicyPCR and TPM2_PolicyAuthorize).
 */
import { createHash, type KeyObject } from "node:crypto";
import { toHex, utf8 } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { inputError, SealError } from "../errors.ts";
import { spacedJson } from "../text.ts";
import type { PcrPrediction } from "./measure.ts";
import type { PcrBank } from "./pcr-events.ts";

/** Whose signature a policy bears. */
export interface PolicyKey {
  /** RSA. */
  readonly publicKey: KeyObject;
  /**
   * Signs a message by RSASSA-PKCS1-v1_5 with SHA-256; null when the signature is made elsewhere, later.
   * @param message 32 bytes, or 64 with a reference
   */
  readonly sign: ((message: Uint8Array) => Promise<Uint8Array>) | null;
}

/** One policy of a `.pcrsig`, its keys in the order of the text. */
export interface PolicyEntry {
  readonly pcrs: readonly number[];
  /** SHA-256 of the key as DER RSAPublicKey (RFC 8017), hex. */
  readonly pkfp: string;
  /** What secrets can require in a policy besides the key. */
  readonly ref?: string;
  /** Policy digest, hex. */
  readonly pol: string;
  /** What is still to be signed, hex. */
  readonly tbs?: string;
  /** Base64. */
  readonly sig?: string;
}
/** Signed PCR policies, in the JSON format of systemd-measure. */
export type PolicySignatures = Readonly<Record<string, readonly PolicyEntry[]>>;

/** Space that ukify leaves for the signature of each policy that is signed later. */
const ROOM_FOR_SIGNATURE = 1024;

/** TPM_ALG_ID (TCG Algorithm Registry). */
const BANK_IDS: Readonly<Record<PcrBank, number>> = { sha1: 0x04, sha256: 0x0b, sha384: 0x0c, sha512: 0x0d };

/**
 * The SHA-256 policy digest of a policy that demands a value of PCR 11: TPM2_PolicyPCR on a fresh session, with a
 * selection of that bank and PCR.
 * @returns 32 bytes
 */
export function policyDigest({ bank, value }: Pick<PcrPrediction, "bank" | "value">): Uint8Array {
  const [commandCode, selections, pcr11] = [
    [0, 0, 0x01, 0x7f],
    [0, 0, 0, 1],
    [3, 0, 0x08, 0],
  ];
  const selection = Uint8Array.from([...commandCode, ...selections, 0, BANK_IDS[bank], ...pcr11]);
  return sha256([new Uint8Array(32), selection, sha256([value])]);
}

/**
 * The policies for predicted values, signed.
 * @param reference what secrets can ask for besides the key; empty for none
 */
export async function policyEntries(
  predictions: readonly PcrPrediction[],
  key: PolicyKey,
  reference: string,
): Promise<PolicySignatures> {
  const pkfp = toHex(sha256([key.publicKey.export({ format: "der", type: "pkcs1" })]));
  const signatures: Record<string, PolicyEntry[]> = {};
  for (const prediction of predictions) {
    const digest = policyDigest(prediction);
    const message = reference === "" ? digest : concat([digest, sha256([utf8(reference)])]);
    const signed =
      key.sign === null ? { tbs: toHex(message) } : { sig: Buffer.from(await key.sign(message)).toString("base64") };
    const ref = reference === "" ? {} : { ref: reference };
    signatures[prediction.bank] ??= [];
    signatures[prediction.bank]?.push({ pcrs: [11], pkfp, ...ref, pol: toHex(digest), ...signed });
  }
  return signatures;
}

/** All entries, each once, in order; banks in the order in which they first occur. */
export function combinePolicies(parts: readonly PolicySignatures[]): PolicySignatures {
  const combined: Record<string, PolicyEntry[]> = {};
  const seen = new Set<string>();
  for (const part of parts) {
    for (const [bank, entries] of Object.entries(part)) {
      combined[bank] ??= [];
      for (const entry of entries) {
        const key = `${bank} ${JSON.stringify(entry)}`;
        if (!seen.has(key)) combined[bank].push(entry);
        seen.add(key);
      }
    }
  }
  return combined;
}

/**
 * The text of a `.pcrsig` section: JSON with a blank after each colon and comma, in ASCII. Policies that are not
 * signed yet are followed by room for their signatures.
 */
export function pcrsigText(signatures: PolicySignatures): string {
  const entries = Object.values(signatures).flat();
  const room = entries.some(({ tbs }) => tbs !== undefined) ? entries.length * ROOM_FOR_SIGNATURE : 0;
  return spacedJson(signatures) + " ".repeat(room);
}

/**
 * Puts signatures that were made elsewhere into the policies that they belong to.
 * @param policies of a UKI
 * @param subject what the signatures came from, for messages
 * @throws SealError `input` when there is a policy without a signature afterwards
 */
export function addSignatures(policies: PolicySignatures, given: PolicySignatures, subject: string): PolicySignatures {
  const signed: Record<string, PolicyEntry[]> = {};
  for (const [bank, entries] of Object.entries(policies)) {
    signed[bank] = entries.map((entry) => {
      const match = (given[bank] ?? []).findLast((other) => sameMessage(entry, other));
      const sig = match?.sig ?? entry.sig;
      if (sig === undefined) {
        throw inputError(
          subject,
          `has no signature for the ${bank} policy ${entry.pol}. Sign its "tbs", add it as "sig"`,
        );
      }
      return { ...entry, sig };
    });
  }
  return signed;
}

function sameMessage(a: PolicyEntry, b: PolicyEntry): boolean {
  if (a.tbs !== undefined && b.tbs !== undefined) return a.tbs === b.tbs;
  return a.pol === b.pol && a.ref === b.ref;
}

/**
 * Refuses keys that no TPM takes for PolicyAuthorize as systemd does it.
 * @throws SealError `input` for a key that is not RSA
 */
export function checkPolicyKey(key: KeyObject, subject: string): void {
  if (key.asymmetricKeyType === "rsa") return;
  throw new SealError(
    "input",
    `${subject}: PCR policies are signed with RSA keys; this one is ${key.asymmetricKeyType}`,
  );
}

function sha256(parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
