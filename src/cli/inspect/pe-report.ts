/**
 * What there is to know of a PE file, as data: the `--json` output of `seal inspect`, and what its
 * picture is drawn from.
 */
import { z } from "zod";
import { findComposefsDigests } from "../../boot/cmdline.ts";
import { isUki, programKind, ukiVersion } from "../../boot/efi-program.ts";
import { parseOsRelease } from "../../boot/os-release.ts";
import { toHex } from "../../bytes.ts";
import { concat } from "../../chunks.ts";
import { SealError } from "../../errors.ts";
import { efiArchOfMachine } from "../../pe/arch.ts";
import { AuthentihashStream } from "../../pe/authentihash.ts";
import { readCertificateTable } from "../../pe/certtable.ts";
import { peChecksum } from "../../pe/checksum.ts";
import { sha256Hex } from "../../pe/digest.ts";
import { findSection, type PeImage, type PeSection, sectionData } from "../../pe/headers.ts";
import { kernelVersion } from "../../pe/kernel-version.ts";
import { sectionNames } from "../../pe/long-names.ts";
import { readSignature } from "../../sign/signature.ts";
import { formNotes, verifyPe } from "../../sign/verify.ts";
import { describeInitramfs, initramfsReportSchema } from "./initramfs-report.ts";

/** `size`, `sha256` and `text` of a section are what `ukify inspect --json` says under the same names. */
const sectionReportSchema = z.object({
  /** As the linker knows it: a name of more than eight bytes comes from the string table. */
  name: z.string(),
  /** What the section header has in place of a long name: `/37`. */
  headerName: z.string().optional(),
  virtualAddress: z.int(),
  virtualSize: z.int(),
  rawOffset: z.int(),
  rawSize: z.int(),
  size: z.int(),
  sha256: z.string(),
  text: z.string().optional(),
});

const signatureReportSchema = z.object({
  subject: z.string(),
  issuer: z.string(),
  key: z.string(),
  notBefore: z.string().nullable(),
  notAfter: z.string().nullable(),
  digestAlgorithm: z.string(),
  /** The Authenticode hash that was signed. */
  digest: z.string().nullable(),
  signingTime: z.string().nullable(),
  /** Whether it is a valid signature of this file as it is; `seal verify` judges the signer. */
  intact: z.boolean(),
  /** Why it is not intact. */
  reason: z.string().nullable(),
  /** What is unusual about it, without influence on whether it is intact. */
  notes: z.array(z.string()).readonly(),
});

const digestSchema = z.object({
  form: z.enum(["composefs", "composefs.digest"]),
  insecure: z.boolean(),
  erofs: z.enum(["v1", "v2"]).nullable(),
  algorithm: z.enum(["sha512", "sha256"]),
  digest: z.string(),
});

export const peReportSchema = z.object({
  file: z.string(),
  type: z.enum(["uki", "addon", "kernel", "efi", "pe"]),
  size: z.int(),
  arch: z.string().nullable(),
  machine: z.string(),
  subsystem: z.int(),
  sha256: z.string(),
  /**
   * Null where the file has no place for a signature. `sha256` is what a signature is over, `unpaddedSha256`
   * what firmware computes of the file as it is; they differ for a file without signatures whose length is
   * not a multiple of 8.
   */
  authenticode: z.object({ sha256: z.string(), unpaddedSha256: z.string() }).nullable(),
  /**
   * The CheckSum field, which no signature covers; `matches` is null where it is not set (0), as in
   * what systemd builds.
   */
  checksum: z.object({ stored: z.string(), matches: z.boolean().nullable() }),
  /** What a UKI says (`.uname`), or a bare kernel. */
  kver: z.string().nullable(),
  cmdline: z.string().nullable(),
  composefs: z.object({
    digests: z.array(digestSchema),
    malformed: z.array(z.object({ text: z.string(), reason: z.string() })),
  }),
  osRelease: z.record(z.string(), z.string()).nullable(),
  sbat: z.array(z.array(z.string())).nullable(),
  /**
   * In the order of the file; sections before the first `.profile` belong to all. Empty for a file without profiles.
   */
  profiles: z.array(
    z.object({ id: z.string().nullable(), title: z.string().nullable(), sections: z.array(z.string()) }),
  ),
  /** One for each that a profile boots with; empty for what is not a UKI. */
  initramfs: z.array(initramfsReportSchema),
  sections: z.array(sectionReportSchema),
  signatures: z.array(signatureReportSchema),
});
export type PeReport = z.infer<typeof peReportSchema>;
export type SectionReport = z.infer<typeof sectionReportSchema>;
export type SignatureReport = z.infer<typeof signatureReportSchema>;

/** IMAGE_SUBSYSTEM_EFI_APPLICATION to IMAGE_SUBSYSTEM_EFI_ROM. */
const EFI_SUBSYSTEMS: readonly number[] = [10, 11, 12, 13];
/** Sections that ukify shows as text. */
const TEXT_SECTIONS: ReadonlySet<string> = new Set([
  ".cmdline",
  ".osrel",
  ".uname",
  ".pcrpkey",
  ".pcrsig",
  ".sbat",
  ".profile",
]);

/**
 * @param file its name as given by the user
 * @param now time used to report certificate validity
 * @throws SealError `input` when its certificate table is corrupt
 */
export async function describePe(pe: PeImage, file: string, now: Date): Promise<PeReport> {
  const cmdline = sectionText(pe, ".cmdline");
  const osRelease = findSection(pe, ".osrel");
  const type = peType(pe);
  return peReportSchema.parse({
    file,
    type,
    size: pe.length,
    arch: efiArchOfMachine(pe.machine),
    machine: `0x${pe.machine.toString(16).padStart(4, "0")}`,
    subsystem: pe.subsystem,
    sha256: sha256Hex(pe.file),
    authenticode: authenticode(pe),
    checksum: {
      stored: `0x${pe.checksum.toString(16).padStart(8, "0")}`,
      matches: pe.checksum === 0 ? null : pe.checksum === peChecksum(pe.file, pe.checksumOffset),
    },
    kver: type === "kernel" ? versionOf(pe) : ukiVersion(pe),
    cmdline,
    composefs: findComposefsDigests(cmdline ?? ""),
    osRelease: osRelease === null ? null : Object.fromEntries(parseOsRelease(concat(sectionData(pe, osRelease)))),
    sbat: sbatRows(sectionText(pe, ".sbat")),
    profiles: profiles(pe),
    initramfs: isUki(pe) ? await describeInitramfs(pe) : [],
    sections: describeSections(pe),
    signatures: signatures(pe, now),
  });
}

function peType(pe: PeImage): PeReport["type"] {
  if (!EFI_SUBSYSTEMS.includes(pe.subsystem)) return "pe";
  const kind = programKind(pe);
  return kind === "uki" || kind === "addon" || kind === "kernel" ? kind : "efi";
}

/** The version of a bare kernel; null if unknown. */
function versionOf(pe: PeImage): string | null {
  try {
    return kernelVersion(concat(pe.file), pe.subject, "any");
  } catch (error) {
    // What it unpacks at boot is damaged, or in a compression that can't be unpacked; the rest can be reported.
    if (error instanceof SealError) return null;
    throw error;
  }
}

function describeSections(pe: PeImage): SectionReport[] {
  const names = sectionNames(pe);
  return pe.sections.map((section, index) => describeSection(pe, section, names[index] ?? section.name));
}

function describeSection(pe: PeImage, section: PeSection, name: string): SectionReport {
  const data = sectionData(pe, section);
  const { virtualAddress, virtualSize, rawOffset, rawSize } = section;
  const report = {
    name,
    ...(name === section.name ? {} : { headerName: section.name }),
    ...{ virtualAddress, virtualSize, rawOffset, rawSize },
    size: Math.min(virtualSize, rawSize),
    sha256: sha256Hex(data),
  };
  return TEXT_SECTIONS.has(name) ? { ...report, text: decode(concat(data)) } : report;
}

/** As ukify writes it: without NULs at the end, others as `\0`. */
function decode(bytes: Uint8Array): string {
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, end));
    return text.replaceAll("\0", "\\0");
  } catch {
    return "(not valid UTF-8)";
  }
}

function sectionText(pe: PeImage, name: string): string | null {
  const section = findSection(pe, name);
  return section === null ? null : decode(concat(sectionData(pe, section)));
}

function sbatRows(text: string | null): string[][] | null {
  if (text === null) return null;
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(","));
}

function authenticode(pe: PeImage): PeReport["authenticode"] {
  if (pe.securityDirectoryOffset === null) return null;
  const stream = new AuthentihashStream(pe, "sha256");
  return { sha256: toHex(stream.digest("signature")), unpaddedSha256: toHex(stream.digest("firmware")) };
}

function profiles(pe: PeImage): PeReport["profiles"] {
  const result: { id: string | null; title: string | null; sections: string[] }[] = [];
  for (const section of pe.sections) {
    if (section.name === ".profile") {
      const fields = parseOsRelease(concat(sectionData(pe, section)));
      result.push({ id: fields.get("ID") ?? null, title: fields.get("TITLE") ?? null, sections: [] });
    } else {
      result.at(-1)?.sections.push(section.name);
    }
  }
  return result;
}

function signatures(pe: PeImage, now: Date): SignatureReport[] {
  const reports = verifyPe(pe, { certificates: [], now }).signatures;
  return readCertificateTable(pe).map((entry, index) => {
    const { signer, digest, notes } = signerOf(entry.data);
    const report = reports[index];
    const intact = report?.outcome !== "invalid";
    return {
      subject: report?.subject ?? "",
      issuer: report?.issuer ?? "",
      key: report?.key ?? "",
      notBefore: signer?.notBefore.toISOString() ?? null,
      notAfter: signer?.notAfter.toISOString() ?? null,
      digestAlgorithm: report?.digestAlgorithm ?? "",
      digest,
      signingTime: report?.signingTime?.toISOString() ?? null,
      intact,
      reason: intact ? null : (report?.reason ?? null),
      notes,
    };
  });
}

/** Null where the signature can't be read; why, its report says. */
function signerOf(signature: Uint8Array) {
  try {
    const read = readSignature(signature, "signature");
    return { signer: read.message.signerCertificate, digest: toHex(read.image.digest), notes: formNotes(read) };
  } catch (error) {
    if (error instanceof SealError) return { signer: null, digest: null, notes: [] };
    throw error;
  }
}
