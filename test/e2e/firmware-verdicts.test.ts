/** What `seal verify` says of programs is what firmware does with them: OVMF with Secure Boot, beside the verdict for the same variables. */
import { beforeAll, expect, it } from "vitest";
import { concat } from "../../src/bytes.ts";
import { firmwareImageHash, listedImageHashes } from "../../src/pe/authentihash.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { ImagePass } from "../../src/pe/image-pass.ts";
import { attachEntry, signPe } from "../../src/sign/authenticode.ts";
import { databaseOf } from "../../src/sign/database.ts";
import type { Enrolment } from "../../src/sign/enroll.ts";
import { messageOfAttributes, signMessage } from "../../src/sign/image-message.ts";
import { signatureListsOf } from "../../src/sign/list-source.ts";
import { certificateList, imageHashList, type SignatureList } from "../../src/sign/siglist.ts";
import { verifyPe } from "../../src/sign/verify.ts";
import { OWNER } from "../support/databases.ts";
import { FIRMWARE_NEEDS, judgeByFirmware, type Verdict } from "../support/firmware-lab.ts";
import { oldPesignAttributes } from "../support/old-pesign.ts";
import { describeWith } from "../support/peers.ts";
import { type VectorKey, vectorCertificate, vectorSigner } from "../support/signing.ts";
import { tinyEfi } from "../support/tiny-efi.ts";

/** A program whose length is not a multiple of 8; each text makes another one. */
const odd = (text: string) =>
  tinyEfi({ padded: false, sections: [{ name: ".data", data: Buffer.from(text.padEnd(101, ".")) }] });
const even = (text: string) => tinyEfi({ sections: [{ name: ".data", data: Buffer.from(text) }] });
/** As ukify makes it of a stub whose sections are not aligned to pages. */
const overlapping = (text: string) =>
  tinyEfi({
    sectionAlignment: 512,
    sections: [
      { name: ".sbat", data: Buffer.from(text.padEnd(0x133, ".")), address: 0x2000 },
      { name: ".sdmagic", data: Buffer.alloc(0x34, "#"), address: 0x2100 },
    ],
  });

async function sign(file: Uint8Array, key: VectorKey = "signer"): Promise<Uint8Array> {
  const signed = await signPe(parsePe([file], "x.efi"), vectorSigner(key), { append: false, signingTime: null });
  return concat(signed.file);
}

/** Signed as pesign up to 0.112 does. */
async function signLikeOldPesign(file: Uint8Array, key: VectorKey = "signer"): Promise<Uint8Array> {
  const image = new ImagePass(parsePe([file], "x.efi"), "sign");
  const digest = image.hash("sha256");
  const message = messageOfAttributes(oldPesignAttributes(digest), digest, "attributes");
  return concat(attachEntry(image, await signMessage(message, vectorSigner(key)), false).file);
}

const hashes = (file: Uint8Array) => listedImageHashes(parsePe([file], "x.efi"), "sha256");
const unpadded = (file: Uint8Array) => firmwareImageHash(parsePe([file], "x.efi"), "sha256");
/** The hash that other tools list. */
const padded = (file: Uint8Array) => hashes(file).at(-1) ?? new Uint8Array();
/** What `seal keys` lists. */
const listed = (file: Uint8Array) => signatureListsOf(file, "x.efi", { owner: OWNER, certificatesByHash: false });
const certificate = (name: VectorKey) => certificateList(OWNER, vectorCertificate(name).der);
const enrolment = (lists: readonly SignatureList[]): Enrolment => ({ lists, append: false, time: null });

describeWith(FIRMWARE_NEEDS, "verdicts of firmware", () => {
  const programs: Record<string, Uint8Array> = {};
  let byFirmware: Record<string, Verdict> = {};
  let bySeal: Record<string, Verdict> = {};

  beforeAll(async () => {
    Object.assign(programs, {
      unsigned: odd("unsigned"),
      signed: await sign(odd("signed")),
      "signed by another": await sign(odd("signed by another"), "other"),
      "in db as it is": odd("in db as it is"),
      "in db with padding": odd("in db with padding"),
      "in db by seal": odd("in db by seal"),
      "in db by seal, then signed by another": await sign(odd("in db by seal, signed later"), "other"),
      "in dbx as it is": odd("in dbx as it is"),
      "in dbx with padding": odd("in dbx with padding"),
      "in dbx by seal": odd("in dbx by seal"),
      "in dbx by seal, then signed": await sign(odd("in dbx by seal, signed later")),
      "of even length, in db": even("in db"),
      "of even length, in dbx": await sign(even("in dbx")),
      "old pesign": await signLikeOldPesign(even("old pesign")),
      "old pesign, revoked certificate": await signLikeOldPesign(even("old pesign"), "db3072"),
      "old pesign, by another": await signLikeOldPesign(even("old pesign"), "other"),
      overlapping: await sign(overlapping("signed")),
      "overlapping, in db": overlapping("in db"),
      "overlapping, unsigned": overlapping("unsigned"),
    });
    const db = [
      certificate("signer"),
      certificate("db3072"),
      imageHashList(OWNER, [
        unpadded(odd("in db as it is")),
        padded(odd("in db with padding")),
        ...["in dbx as it is", "in dbx with padding", "in dbx by seal"].map((text) => unpadded(odd(text))),
        unpadded(overlapping("in db")),
      ]),
      ...listed(odd("in db by seal")),
      ...listed(odd("in db by seal, signed later")),
      ...listed(even("in db")),
    ];
    const dbx = [
      certificate("db3072"),
      imageHashList(OWNER, [unpadded(odd("in dbx as it is")), padded(odd("in dbx with padding"))]),
      ...listed(odd("in dbx by seal")),
      ...listed(odd("in dbx by seal, signed later")),
      ...listed(even("in dbx")),
    ];
    const owner = enrolment([certificate("ca")]);
    byFirmware = await judgeByFirmware(programs, { PK: owner, KEK: owner, db: enrolment(db), dbx: enrolment(dbx) });
    const { certificates, imageHashes } = databaseOf(db, "db");
    const trust = { certificates, imageHashes, revoked: databaseOf(dbx, "dbx"), now: new Date() };
    bySeal = Object.fromEntries(
      Object.entries(programs).map(([name, file]) => [
        name,
        verifyPe(parsePe([file], name), trust).valid ? "started" : "refused",
      ]),
    );
  }, 400_000);

  it("are those that the cases are made for", () => {
    expect(byFirmware).toEqual({
      unsigned: "refused",
      signed: "started",
      "signed by another": "refused",
      "in db as it is": "started",
      "in db with padding": "refused",
      "in db by seal": "started",
      "in db by seal, then signed by another": "started",
      "in dbx as it is": "refused",
      "in dbx with padding": "started",
      "in dbx by seal": "refused",
      "in dbx by seal, then signed": "refused",
      "of even length, in db": "started",
      "of even length, in dbx": "refused",
      "old pesign": "started",
      "old pesign, revoked certificate": "refused",
      "old pesign, by another": "refused",
      overlapping: "started",
      "overlapping, in db": "started",
      "overlapping, unsigned": "refused",
    });
  });

  it("are seal's", () => expect(bySeal).toEqual(byFirmware));
});
