/**
 * What shim trusts besides firmware's databases: certificates and lists of its vendor, in its section `.vendor_cert`
 * (shim, cert.S and `cert_table`: sizes of what is allowed and of what is revoked, then their offsets in the section),
 * and what the owner of a machine enrolled for it (MokList, MokListX). What the vendor allows is one certificate in DER
 * or signature lists, what it revokes are lists.
 */
import { Cursor } from "../bytes.ts";
import { concat } from "../chunks.ts";
import { type PeImage, sectionData } from "../pe/headers.ts";
import { sectionsNamed } from "../pe/long-names.ts";
import type { OtherVariable } from "./authvar.ts";
import { databaseOf } from "./database.ts";
import { knownGuid } from "./guid.ts";
import type { AddedTrust } from "./join-trust.ts";
import { signatureListsOf } from "./list-source.ts";
import { parseSignatureLists } from "./siglist.ts";

const VENDOR_SECTION = ".vendor_cert";
const LEVEL_SECTION = ".sbatlevel";
const NO_OWNER = knownGuid("00000000-0000-0000-0000-000000000000");

/** SHIM_LOCK_GUID, the vendor of shim's variables. */
const SHIM_LOCK = knownGuid("605dab50-e046-4300-abb6-3dd810dd8b23");

/** What shim keeps in a variable store: what is enrolled, what is revoked, and the lowest good SBAT generations. */
export const SHIM_VARIABLES = {
  enrolled: { name: "MokList", vendor: SHIM_LOCK },
  revoked: { name: "MokListX", vendor: SHIM_LOCK },
  sbatLevel: { name: "SbatLevel", vendor: SHIM_LOCK },
} as const;

/**
 * The copy of one of {@link SHIM_VARIABLES} that shim makes for the running system, which does not see
 * the variable itself.
 */
export function runtimeCopy({ name, vendor }: OtherVariable): OtherVariable {
  return { name: `${name}RT`, vendor };
}

/** Whether a program is shim: nothing else has these sections. */
export function isShim(pe: PeImage): boolean {
  return [VENDOR_SECTION, LEVEL_SECTION].some((name) => sectionsNamed(pe, name).length > 0);
}

/**
 * What the vendor of a shim put into it.
 * @param subject names the entries in verdicts
 * @throws SealError `input` for sizes that lead out of the section, and for what is neither a certificate nor a list
 */
export function vendorTrust(pe: PeImage, subject: string): AddedTrust {
  const [section] = sectionsNamed(pe, VENDOR_SECTION);
  if (section === undefined) return { certificates: [] };
  const cursor = new Cursor(concat(sectionData(pe, section)), `${subject} (${VENDOR_SECTION})`);
  const part = (index: 0 | 1, what: string) =>
    cursor.slice(cursor.u32(8 + 4 * index, what), cursor.u32(4 * index, what), what);
  const allowed = part(0, "what is allowed");
  const revoked = part(1, "what is revoked");
  const lists = signatureListsOf(allowed, cursor.subject, { owner: NO_OWNER, certificatesByHash: false });
  const { certificates, imageHashes } = databaseOf(lists, subject);
  return {
    certificates,
    imageHashes,
    revoked: revoked.length === 0 ? undefined : databaseOf(parseSignatureLists(revoked, cursor.subject), subject),
  };
}
