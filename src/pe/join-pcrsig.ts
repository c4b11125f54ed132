/**
 * Puts signatures that were made elsewhere into a finished UKI, whose policies were left unsigned with room for them.
 */
import { constants, createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { alignUp, toHex, utf8 } from "../bytes.ts";
import { type Chunks, concat } from "../chunks.ts";
import { inputError } from "../errors.ts";
import { spacedJson } from "../text.ts";
import { findSection, type PeImage, sectionData } from "./headers.ts";
import { addSignatures, type PolicySignatures } from "./pcr-policy.ts";

/** Offset of SizeOfImage in the optional header, in PE32 and PE32+. */
const SIZE_OF_IMAGE = 56;

/**
 * @param given signatures, and what they were read from
 * @param parse reads the text of a `.pcrsig` section
 * @returns the file; only `.pcrsig` sections and the header fields that depend on them differ
 * @throws SealError `input` for a UKI that is signed already or has no `.pcrsig`, a signature that is missing or wrong,
 *   or one too long for the room that was left
 */
export function joinPcrsig(
  pe: PeImage,
  given: { readonly signatures: PolicySignatures; readonly subject: string },
  parse: (text: string, subject: string) => PolicySignatures,
): Chunks {
  if (pe.certificateTable !== null) {
    throw inputError(pe.subject, "is signed for Secure Boot; join the PCR signatures first, then sign");
  }
  const sections = pe.sections.filter(({ name }) => name === ".pcrsig");
  if (sections.length === 0) {
    throw inputError(pe.subject, "has no .pcrsig section. Build it with: seal build-uki --policy-digest");
  }
  const bytes = Buffer.from(concat(pe.file));
  const key = embeddedKey(pe);
  const sizes = new Map(pe.sections.map((section) => [section, section.virtualSize]));
  for (const section of sections) {
    const text = Buffer.from(concat(sectionData(pe, section)))
      .toString("utf8")
      .replace(/\0+$/, "");
    const signed = addSignatures(parse(text, `${pe.subject}: .pcrsig`), given.signatures, given.subject);
    if (key !== null) checkSignatures(signed, key, given.subject);
    const encoded = utf8(spacedJson(signed));
    if (encoded.length > section.rawSize) {
      throw inputError(
        pe.subject,
        `.pcrsig has room for ${section.rawSize} bytes, the signatures need ${encoded.length}; are they for this UKI?`,
      );
    }
    bytes.fill(0, section.rawOffset, section.rawOffset + section.rawSize).set(encoded, section.rawOffset);
    bytes.writeUInt32LE(encoded.length, section.headerOffset + 8);
    sizes.set(section, encoded.length);
  }
  const end = Math.max(...pe.sections.map((section) => section.virtualAddress + (sizes.get(section) ?? 0)));
  bytes.writeUInt32LE(alignUp(end, pe.sectionAlignment), pe.optionalHeaderOffset + SIZE_OF_IMAGE);
  bytes.writeUInt32LE(0, pe.checksumOffset);
  return [bytes];
}

/** The key that the system will check policies with; null when there is none that can be read. */
function embeddedKey(pe: PeImage): KeyObject | null {
  const section = findSection(pe, ".pcrpkey");
  if (section === null) return null;
  try {
    const key = createPublicKey(Buffer.from(concat(sectionData(pe, section))));
    return key.asymmetricKeyType === "rsa" ? key : null;
  } catch {
    return null;
  }
}

function checkSignatures(policies: PolicySignatures, key: KeyObject, subject: string): void {
  const der = key.export({ format: "der", type: "pkcs1" });
  const fingerprint = createHash("sha256").update(der).digest("hex");
  for (const { pkfp, pol, ref, sig = "" } of Object.values(policies).flat()) {
    if (pkfp !== fingerprint) continue;
    const reference = ref === undefined ? "" : toHex(createHash("sha256").update(ref).digest());
    const padded = { key, padding: constants.RSA_PKCS1_PADDING };
    if (!verify("sha256", Buffer.from(pol + reference, "hex"), padded, Buffer.from(sig, "base64"))) {
      throw inputError(
        subject,
        `the signature of policy ${pol} is not by the key in .pcrpkey (RSA PKCS#1 v1.5, SHA-256)`,
      );
    }
  }
}
