/**
 * What `seal verify` says of programs is what firmware does with them: OVMF with Secure Boot, beside the verdict
 * for the same variables.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { verifyDirectoryReportSchema } from "../../src/cli/verify/directory.ts";
import { firmwareImageHash, listedImageHashes } from "../../src/pe/authentihash.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { actionEvent, replayEvents, separatorEvent } from "../../src/pe/pcr-events.ts";
import { signPe } from "../../src/sign/authenticode.ts";
import { parseVariableUpdate, signVariableChange, type VariableChange } from "../../src/sign/authvar.ts";
import { databaseOf } from "../../src/sign/database.ts";
import { calendarNote } from "../../src/sign/efi-time.ts";
import { type Enrolment, type Enrolments, enroll } from "../../src/sign/enroll.ts";
import { enrollFileName, readEnrollKeys } from "../../src/sign/enroll-keys.ts";
import { signatureListsOf } from "../../src/sign/list-source.ts";
import { parseVariableStore, writeVariableStore } from "../../src/sign/ovmf.ts";
import { readPolicy } from "../../src/sign/secure-boot-policy.ts";
import {
  certificateList,
  encodeSignatureLists,
  imageHashList,
  parseSignatureLists,
  type SignatureList,
} from "../../src/sign/siglist.ts";
import { verifyPe } from "../../src/sign/verify.ts";
import { seal } from "../support/cli.ts";
import { certificateHashEsl, ODD_LISTS, OWNER } from "../support/databases.ts";
import {
  codeMeasuredByFirmware,
  enrolBySystemdBoot,
  FIRMWARE_NEEDS,
  judgeByFirmware,
  judgeByShim,
  ovmfStore,
  type Verdict,
} from "../support/firmware-lab.ts";
import { signLikeOldPesign } from "../support/old-pesign.ts";
import { describeWith, PROGRAMS_DIR, peerTree } from "../support/peers.ts";
import { type VectorKey, vectorCertificate, vectorSigner } from "../support/signing.ts";
import { tinyEfi, WAITING_CODE } from "../support/tiny-efi.ts";
import { vector } from "../support/vectors.ts";

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
  const signed = await signPe(parsePe([file], "x.efi"), vectorSigner(key), { append: true, signingTime: null });
  return concat(signed.file);
}

const hashes = (file: Uint8Array) => listedImageHashes(parsePe([file], "x.efi"), "sha256");
const unpadded = (file: Uint8Array) => firmwareImageHash(parsePe([file], "x.efi"), "sha256");
/** The hash that other tools list. */
const padded = (file: Uint8Array) => hashes(file).at(-1) ?? new Uint8Array();
/** What `seal keys` lists. */
const listed = (file: Uint8Array) => signatureListsOf(file, "x.efi", { owner: OWNER, certificatesByHash: false });
const certificate = (name: VectorKey) => certificateList(OWNER, vectorCertificate(name).der);
const enrolment = (lists: readonly SignatureList[]): Enrolment => ({ lists, append: false, time: null });

/**
 * What `seal verify` says of a directory with these files, by a variable store after these enrolments; by
 * names without `.efi`.
 */
async function judgeDirectory(
  files: Readonly<Record<string, Uint8Array>>,
  enrolments: Enrolments,
): Promise<Record<string, Verdict>> {
  const cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
  try {
    const store = ovmfStore();
    writeFileSync(join(cwd, "vars.fd"), writeVariableStore(store, enroll(store, enrolments)));
    for (const [name, bytes] of Object.entries(files)) {
      const path = join(cwd, "esp", name.endsWith(".efi") ? name : `${name}.efi`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes);
    }
    const { stdout } = await seal(["verify", "esp", "--vars", "vars.fd", "--json"], { cwd });
    const { programs } = verifyDirectoryReportSchema.parse(JSON.parse(stdout));
    const verdicts = { accepted: "started", refused: "refused", "not started": "refused" } as const;
    return Object.fromEntries(programs.map(({ path, outcome }) => [path.replace(/\.efi$/, ""), verdicts[outcome]]));
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

describeWith(FIRMWARE_NEEDS, "verdicts of firmware", () => {
  const programs: Record<string, Uint8Array> = {};
  let byFirmware: Record<string, Verdict> = {};
  let bySeal: Record<string, Verdict> = {};
  let ofDirectory: Record<string, Verdict> = {};

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
      "in db by a list with a header": await sign(even("header"), "db4096"),
      overlapping: await sign(overlapping("signed")),
      "overlapping, in db": overlapping("in db"),
      "overlapping, unsigned": overlapping("unsigned"),
    });
    // Both begin with lists without entries, of an unknown type, and with PEM in place of a certificate, which
    // would decide otherwise.
    const db = [
      ...parseSignatureLists(ODD_LISTS, "db"),
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
      ...parseSignatureLists(ODD_LISTS, "dbx").filter(({ header }) => header === undefined),
      certificateList(OWNER, vector("authenticode/keys/signer.crt")),
      certificate("db3072"),
      imageHashList(OWNER, [unpadded(odd("in dbx as it is")), padded(odd("in dbx with padding"))]),
      ...listed(odd("in dbx by seal")),
      ...listed(odd("in dbx by seal, signed later")),
      ...listed(even("in dbx")),
    ];
    const owner = enrolment([certificate("ca")]);
    const enrolments = { PK: owner, KEK: owner, db: enrolment(db), dbx: enrolment(dbx) };
    ofDirectory = await judgeDirectory(programs, enrolments);
    byFirmware = await judgeByFirmware(programs, enrolments);
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
      "in db by a list with a header": "started",
      overlapping: "started",
      "overlapping, in db": "started",
      "overlapping, unsigned": "refused",
    });
  });

  it("are seal's", () => expect(bySeal).toEqual(byFirmware));

  it("are those of seal verify on a directory, by the firmware's store", () => expect(ofDirectory).toEqual(byFirmware));
});

/** Debian's, signed by Microsoft. */
const SHIM = "trixie/amd64/shim-signed-shimx64.efi.signed";
/** Firmware that trusts Microsoft, as Debian makes it. */
const MICROSOFT_STORE = "usr/share/OVMF/OVMF_VARS_4M.ms.fd";

describeWith([...FIRMWARE_NEEDS, "programs"], "verdicts of shim", () => {
  const sbat = (grub: number) =>
    tinyEfi({
      sections: [{ name: ".sbat", data: Buffer.from(`sbat,1,SBAT Version,sbat,1,url\ngrub,${grub},x,grub,1,url\n`) }],
    });

  it("are those of seal verify on a directory, with SBAT and the vendor's certificate", async () => {
    const shim = readFileSync(join(PROGRAMS_DIR, SHIM));
    const programs = {
      "by db": await sign(sbat(5)),
      "by db, generation revoked": await sign(sbat(1)),
      "by db, without SBAT": await sign(even("no SBAT")),
      "by another": await sign(sbat(5), "other"),
      "revoked by its hash": await sign(sbat(6)),
      "revoked by its certificate": await sign(sbat(5), "db4096"),
      "revoked by one of two certificates": await sign(await sign(sbat(5), "db4096"), "signer"),
      "revoked by the hash of its certificate": await sign(sbat(5), "db3072"),
      "by the vendor": readFileSync(join(PROGRAMS_DIR, "trixie/amd64/fwupd-amd64-signed-fwupdx64.efi.signed")),
    };
    const microsoft = readPolicy(
      parseVariableStore(readFileSync(join(peerTree("trixie"), MICROSOFT_STORE)), "ms").variables,
      "ms",
    );
    const owner = enrolment([certificate("ca")]);
    const enrolments = {
      PK: owner,
      KEK: owner,
      db: enrolment([...microsoft.db, certificate("signer"), certificate("db3072"), certificate("db4096")]),
      dbx: enrolment([
        ...listed(programs["revoked by its hash"]),
        certificate("db4096"),
        ...parseSignatureLists(certificateHashEsl("db3072"), "dbx"),
      ]),
    };
    const byShim = await judgeByShim(shim, programs, enrolments);
    expect(byShim).toEqual({
      "by db": "started",
      "by db, generation revoked": "refused",
      "by db, without SBAT": "refused",
      "by another": "refused",
      "revoked by its hash": "refused",
      "revoked by its certificate": "refused",
      "revoked by one of two certificates": "started",
      "revoked by the hash of its certificate": "started",
      "by the vendor": "started",
    });
    const beside = Object.entries(programs).flatMap(([name, bytes]) => [
      [`${name}/shimx64.efi`, shim],
      [`${name}/grubx64.efi`, bytes],
    ]);
    const bySeal = await judgeDirectory(Object.fromEntries(beside), enrolments);
    for (const name of Object.keys(programs)) {
      expect(bySeal[`${name}/shimx64`]).toBe("started");
      expect([name, bySeal[`${name}/grubx64`]]).toEqual([name, byShim[name as keyof typeof byShim]]);
    }
  }, 400_000);
});

describeWith(FIRMWARE_NEEDS, "updates that systemd-boot enrols", () => {
  const value = encodeSignatureLists([certificate("ca")]);
  const time = { year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5 };
  const update = (variable: "PK" | "KEK" | "db", change: Partial<Pick<VariableChange, "time" | "write">>) =>
    signVariableChange({ variable, write: "replace", time, value, ...change }, vectorSigner("ca"));

  /** What seal says of them where they would be shipped. */
  const problems = (updates: Readonly<Record<`${"PK" | "KEK" | "db"}.auth`, Uint8Array>>) => {
    const files = (["PK", "KEK", "db"] as const).map((name) => [name, updates[`${name}.auth`]] as const);
    return readEnrollKeys(new Map(files), enrollFileName).problems;
  };

  it("are taken with times that no calendar has, as keys show and lint say", async () => {
    const updates = {
      "PK.auth": await update("PK", { time: { ...time, month: 0, day: 31 } }),
      "KEK.auth": await update("KEK", { time: { ...time, month: 2, day: 31 } }),
      "db.auth": await update("db", { time: { ...time, hour: 25, second: 61 } }),
    };
    expect(problems(updates)).toEqual([]);
    const variables = await enrolBySystemdBoot(updates);
    for (const [name, bytes] of Object.entries(updates)) {
      const written = variables.find((variable) => `${variable.name}.auth` === name);
      expect([name, toHex(written?.value ?? value.subarray(0, 0))]).toEqual([name, toHex(value)]);
      expect(toHex(written?.time ?? new Uint8Array())).toBe(toHex(bytes.subarray(0, 16)));
      expect(calendarNote(parseVariableUpdate(bytes, name).time)).not.toBeNull();
    }
  }, 400_000);

  it("are refused when they are signed for appending and firmware looks at the signature, which is that of PK", async () => {
    const updates = {
      "PK.auth": await update("PK", { write: "append" }),
      "KEK.auth": await update("KEK", { write: "append" }),
      "db.auth": await update("db", { write: "append" }),
    };
    const names = (await enrolBySystemdBoot(updates)).map(({ name }) => name);
    // In setup mode EDK II takes the others from anybody.
    expect(["PK", "KEK", "db"].filter((name) => names.includes(name))).toEqual(["KEK", "db"]);
    expect(problems(updates).map(({ variable, severity }) => [variable, severity])).toEqual([
      ["PK", "error"],
      ["KEK", "warning"],
      ["db", "warning"],
    ]);
  }, 400_000);
});

describeWith(
  [...FIRMWARE_NEEDS, "swtpm"],
  "what firmware measures of a program without signatures whose length is odd",
  () => {
    it("is the hash of the file as it is, not the one that a signature would be over", async () => {
      const [program, waiting] = [odd("measured"), tinyEfi({ code: WAITING_CODE })];
      const value = (hash: Uint8Array) => {
        const calling = actionEvent("Calling EFI Application from Boot Option", ["sha256"]);
        const returning = actionEvent("Returning from EFI Application from Boot Option", ["sha256"]);
        const extended = (sha256: Uint8Array) => ({ digests: { sha256 } });
        const before = [calling, separatorEvent(["sha256"]), extended(hash), returning];
        return toHex(replayEvents([...before, calling, extended(unpadded(waiting))], "sha256"));
      };
      const measured = toHex(await codeMeasuredByFirmware(program, waiting));
      expect(measured).toBe(value(unpadded(program)));
      expect(measured).not.toBe(value(padded(program)));
    }, 400_000);
  },
);
