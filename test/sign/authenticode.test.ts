import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalBytes, toHex } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { authentihash, hashedContent } from "../../src/pe/authentihash.ts";
import { readCertificateTable } from "../../src/pe/certtable.ts";
import { peChecksum } from "../../src/pe/checksum.ts";
import { isWorthAhead } from "../../src/pe/digest.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { type SignOptions, signingWarnings, signPe } from "../../src/sign/authenticode.ts";
import { AUTHENTICODE_VECTORS, type VectorKey, vectorSigner } from "../support/signing.ts";
import { tinyEfi } from "../support/tiny-efi.ts";
import { vector } from "../support/vectors.ts";

const TIME = new Date("2026-01-02T03:04:05Z");
const ONCE: SignOptions = { append: false, signingTime: TIME };

const pe = (name: string) => vector(`authenticode/pe/${name}.efi.gz`);
const keyOf = (path: string) => path.replace(/^keys\/|\.key$/g, "") as VectorKey;

async function sign(input: Uint8Array, key: VectorKey = "signer", options = ONCE): Promise<Uint8Array> {
  return concat((await signPe(parsePe([input], "x.efi"), vectorSigner(key), options)).file);
}

/** The file with its checksum field as zeros. */
function withoutChecksum(file: Uint8Array): Uint8Array {
  return Uint8Array.from(file).fill(0, parsePe([file], "x").checksumOffset, parsePe([file], "x").checksumOffset + 4);
}

describe("signPe", () => {
  const by = (tool: string) =>
    AUTHENTICODE_VECTORS.signed
      .filter((entry) => entry.tool === tool && entry.digest_matches_firmware)
      .map((entry) => [entry.file, entry] as const);

  it.each(by("systemd-sbsign"))("%s: the same bytes", async (file, entry) => {
    const ours = await sign(vector(`authenticode/${entry.input}`), keyOf(entry.key));
    const theirs = vector(`authenticode/${file}`);
    expect(toHex(withoutChecksum(ours))).toBe(toHex(withoutChecksum(theirs)));
    // systemd-sbsign leaves the table's offset out of the checksum of images with six data directories.
    if (!file.includes("kernel")) expect(toHex(ours)).toBe(toHex(theirs));
  });

  it.each(by("sbsign"))("%s: the same PKCS#7, the image padded alike", async (file, entry) => {
    const ours = parsePe([await sign(vector(`authenticode/${entry.input}`), keyOf(entry.key))], "ours");
    const theirs = parsePe([vector(`authenticode/${file}`)], "theirs");
    const [ourEntry, theirEntry] = [readCertificateTable(ours)[0], readCertificateTable(theirs)[0]];
    // sbsign does not count the padding in dwLength.
    const length = theirEntry?.data.length ?? 0;
    expect(toHex(ourEntry?.data.subarray(0, length) ?? new Uint8Array())).toBe(
      toHex(theirEntry?.data ?? new Uint8Array()),
    );
    expect(ours.certificateTable).toEqual(theirs.certificateTable);
    expect(ours.length).toBe(theirs.length);
  });

  it.each([...by("sbsign"), ...by("osslsigncode")])("%s has the checksum that we compute", (file) => {
    const signed = parsePe([vector(`authenticode/${file}`)], "x");
    expect(peChecksum(signed.file, signed.checksumOffset)).toBe(signed.checksum);
  });

  it("replaces signatures that are there", async () => {
    const once = await sign(pe("plain"));
    expect(toHex(await sign(pe("signed-twice")))).toBe(toHex(once));
    expect(toHex(await sign(once))).toBe(toHex(once));
  });

  it.each([false, true])("hashes a large image once, what is signed: %s", async (append) => {
    const data = randomBytes((2 << 20) + 5);
    const plain = parsePe([tinyEfi({ padded: false, sections: [{ name: ".data", data }] })], "x.efi");
    const once = await signPe(plain, vectorSigner("other"), ONCE);
    const signed = await signPe(once, vectorSigner("signer"), { ...ONCE, append });
    const read = parsePe([concat(signed.file)], "x.efi");
    expect(isWorthAhead("sha256", hashedContent(read))).toBe(true);
    for (const pe of [once, signed]) {
      expect(isWorthAhead("sha256", hashedContent(pe))).toBe(false);
      expect(toHex(authentihash(pe, "sha256"))).toBe(toHex(authentihash(read, "sha256")));
    }
  });

  it("keeps them with append, byte for byte, and adds its own at the end", async () => {
    const before = pe("signed-twice");
    const signed = parsePe([await sign(before, "db3072", { append: true, signingTime: null })], "x");
    const old = readCertificateTable(parsePe([before], "x"));
    const entries = readCertificateTable(signed);
    expect(entries.slice(0, 2)).toEqual(old);
    expect(entries).toHaveLength(3);
    expect(authentihash(signed, "sha256")).toEqual(authentihash(parsePe([before], "x"), "sha256"));
    expect(peChecksum(signed.file, signed.checksumOffset)).toBe(signed.checksum);
  });

  it("says no time unless it is given one, and then always gives the same bytes", async () => {
    const options = { append: false, signingTime: null };
    const signed = await sign(pe("plain"), "signer", options);
    expect(toHex(await sign(pe("plain"), "signer", options))).toBe(toHex(signed));
    const signingTime = Buffer.from("2a864886f70d010905", "hex");
    expect(Buffer.from(signed).includes(signingTime)).toBe(false);
    expect(Buffer.from(await sign(pe("plain"))).includes(signingTime)).toBe(true);
  });

  it("copies headers and table only", async () => {
    const input = pe("plain");
    const { file: chunks } = await signPe(parsePe([input], "x"), vectorSigner("signer"), ONCE);
    const copied = [...chunks].filter((chunk) => chunk.buffer !== input.buffer);
    expect(copied.reduce((sum, chunk) => sum + chunk.length, 0)).toBeLessThan(4096);
    expect(equalBytes(input, pe("plain"))).toBe(true);
  });

  it("does not depend on how the file is cut into chunks", async () => {
    const input = pe("tail3");
    const expected = toHex(await sign(input));
    const { sizeOfHeaders } = parsePe([input], "x");
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: sizeOfHeaders, max: input.length }), async (cut) => {
        const chunks = [input.subarray(0, cut), input.subarray(cut)];
        const signed = await signPe(parsePe(chunks, "x"), vectorSigner("signer"), ONCE);
        expect(toHex(concat(signed.file))).toBe(expected);
      }),
      { numRuns: 20 },
    );
  });

  it("refuses what it can't sign", async () => {
    await expect(sign(pe("nocertdir"))).rejects.toThrow(/^x\.efi: can't be signed: it has 4 data directories/);
    await expect(sign(pe("signed-trailing-data"))).rejects.toThrow(/^x\.efi: .* certificate table ends at/);
    await expect(sign(Buffer.from("#!/bin/sh\n".repeat(20)))).rejects.toThrow(/^x\.efi: not a PE file/);
  });

  it("lets no signature out that does not verify", async () => {
    const lying = { ...vectorSigner("signer"), sign: async () => new Uint8Array(256) };
    await expect(signPe(parsePe([pe("plain")], "x"), lying, ONCE)).rejects.toMatchObject({
      code: "external",
      message:
        "signer.crt: the signature just made is invalid: the signature does not verify with the signer's certificate",
    });
  });
});

describe("signingWarnings", () => {
  it("tells of gaps between sections, where another tool computes another hash", () => {
    expect(signingWarnings(parsePe([pe("plain")], "x.efi"))).toEqual([]);
    expect(signingWarnings(parsePe([pe("gap-between-sections")], "x.efi"))).toEqual([
      expect.stringMatching(/^x\.efi: there are bytes between its sections/),
    ]);
  });
});
