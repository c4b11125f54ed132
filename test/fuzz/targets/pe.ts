/** EFI programs, kernels, and the signatures on them. */
import { gzipSync } from "node:zlib";
import { expect } from "vitest";
import { concat } from "../../../src/chunks.ts";
import { describePe } from "../../../src/cli/inspect/pe-report.ts";
import { encodeCertificateTable, readCertificateTable } from "../../../src/pe/certtable.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { openKernel } from "../../../src/pe/kernel.ts";
import { kernelVersion } from "../../../src/pe/kernel-version.ts";
import { shimLevels } from "../../../src/pe/shim-levels.ts";
import { signPe } from "../../../src/sign/authenticode.ts";
import { isShim, vendorTrust } from "../../../src/sign/shim.ts";
import { readSignature } from "../../../src/sign/signature.ts";
import { verifyPe, verifySignature } from "../../../src/sign/verify.ts";
import { certificateEsl } from "../../support/databases.ts";
import { makeShim, shimWithLevels, vendorSection } from "../../support/shim.ts";
import { type VectorKey, vectorCertificate, vectorSigner } from "../../support/signing.ts";
import { vector } from "../../support/vectors.ts";
import { zbootKernel } from "../../support/zboot.ts";
import type { FuzzTarget } from "../target.ts";

const NOW = new Date("2026-06-01T00:00:00Z");
const PE = ["plain", "pe32", "aa64", "tail3", "gap-between-sections", "wideheaders", "signed-twice", "ndirs5"];
const SIGNED = ["sbsign", "systemd-sbsign", "osslsigncode", "pesign"].map((tool) => `plain.${tool}.signer`);
const signer = vectorSigner("signer");
const trust = (...keys: readonly VectorKey[]) => ({ certificates: keys.map(vectorCertificate), now: NOW });

/**
 * Offset of the certificate table, and what a signature covers before it: all but the checksum and the table's place.
 */
function covered(bytes: Uint8Array): { readonly end: number; readonly content: Buffer } {
  const pe = parsePe([bytes], "x");
  const end = pe.certificateTable?.offset ?? bytes.length;
  const content = Buffer.from(bytes.subarray(0, end));
  content.fill(0, pe.checksumOffset, pe.checksumOffset + 4);
  const directory = pe.securityDirectoryOffset ?? 0;
  content.fill(0, directory, directory + 8);
  return { end, content };
}

const signedFiles = SIGNED.map((name) => vector(`authenticode/signed/${name}.efi.gz`));
const originals = signedFiles.map(covered);

export const peTargets: readonly FuzzTarget[] = [
  {
    name: "pe",
    seeds: () => [
      ...PE.map((name) => vector(`authenticode/pe/${name}.efi.gz`)),
      vector("uki/outputs/all.262.efi.gz"),
      vector("uki/inputs/stub-unaligned"),
    ],
    tokens: [".linux\0\0", ".cmdline", ".sbat\0\0\0", ".osrel\0\0", ".profile", ".initrd\0", "/4\0\0\0\0\0\0"],
    read: async (bytes) => {
      const pe = parsePe([bytes], "x");
      const table = readCertificateTable(pe);
      if (table.length > 0) {
        const written = encodeCertificateTable(table);
        const offset = pe.certificateTable?.offset ?? 0;
        expect(Buffer.compare(written, bytes.subarray(offset, offset + written.length))).toBe(0);
      }
      // What can be signed, verifies: in memory, and read again as the file that is written.
      const signed = await signPe(pe, signer, { append: false, signingTime: null });
      const again = parsePe([concat(signed.file)], "x");
      for (const image of [signed, again]) expect(verifyPe(image, trust("signer")).valid).toBe(true);
    },
  },
  {
    name: "inspect",
    seeds: () => [
      vector("uki/outputs/all.262.efi.gz"),
      vector("uki/outputs/profiles-2.262.efi.gz"),
      ...signedFiles.slice(0, 1),
    ],
    tokens: [".linux\0\0", ".cmdline", ".sbat\0\0\0", ".osrel\0\0", ".profile", "ID=", "/4\0\0\0\0\0\0"],
    read: async (bytes) => {
      await describePe(parsePe([bytes], "x"), "x", NOW);
    },
  },
  {
    name: "verify",
    seeds: () => signedFiles,
    read: (bytes) => {
      const pe = parsePe([bytes], "x");
      if (!verifyPe(pe, trust("signer")).valid) return;
      const { end, content } = covered(bytes);
      expect(originals.some((original) => original.end === end && original.content.equals(content))).toBe(true);
    },
  },
  {
    name: "pkcs7",
    seeds: () => signedFiles.flatMap((file) => readCertificateTable(parsePe([file], "x")).map(({ data }) => data)),
    read: (bytes) => {
      const signature = readSignature(bytes, "x");
      verifySignature(signature, (algorithm) => Buffer.alloc(algorithm === "sha1" ? 20 : 32));
    },
  },
  {
    name: "shim-levels",
    seeds: () => [
      shimWithLevels("sbat,1,2025021800\nshim,4\ngrub,5\n", "sbat,1,2025051000\nshim,4\ngrub,5\ngrub.proxmox,2\n"),
    ],
    tokens: ["/4\0\0\0\0\0\0", ".sbatlevel\0", "sbat,1,"],
    read: (bytes) => {
      const levels = shimLevels(parsePe([bytes], "x"));
      // Each is text of the file, up to the first zero byte.
      for (const level of levels === null ? [] : [levels.automatic, levels.latest]) {
        expect(level).not.toContain("\0");
        expect(Buffer.from(bytes).includes(`${level}\0`)).toBe(true);
      }
    },
  },
  {
    name: "shim-vendor",
    seeds: () => [makeShim({ ".vendor_cert": vendorSection(certificateEsl("signer"), certificateEsl("other")) })],
    tokens: ["/4\0\0\0\0\0\0", ".vendor_cert\0"],
    read: (bytes) => {
      const pe = parsePe([bytes], "x");
      const { certificates, revoked } = vendorTrust(pe, "x");
      if (certificates.length > 0) expect(isShim(pe)).toBe(true);
      // Each is a piece of the file.
      for (const { der } of [...certificates, ...(revoked?.certificates ?? [])])
        expect(Buffer.from(bytes).includes(Buffer.from(der))).toBe(true);
    },
  },
  {
    name: "kernel",
    seeds: () => [
      ...["kernel", "kernel-aa64", "kernel-riscv64", "kernel-sbat"].map((name) => vector(`uki/inputs/${name}`)),
      vector("uki/inputs/kernel-aa64.gz"),
      zbootKernel(vector("uki/inputs/kernel-aa64"), "gzip", gzipSync("Linux version 6.1.0-x (a@b)")),
    ],
    tokens: ["zimg", "gzip\0", "zstd\0", "HdrS", "Linux version 6.1.0-x ("],
    read: (bytes) => {
      const { pe } = openKernel(bytes, "x");
      for (const spelling of ["ukify", "any"] as const) kernelVersion(concat(pe.file), "x", spelling);
    },
  },
];
