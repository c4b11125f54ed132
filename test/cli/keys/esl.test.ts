import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import { concat } from "../../../src/chunks.ts";
import { authentihash } from "../../../src/pe/authentihash.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { signVariableChange } from "../../../src/sign/authvar.ts";
import { parseSignatureLists, signatureKind } from "../../../src/sign/siglist.ts";
import { seal } from "../../support/cli.ts";
import { certificateEsl, OWNER } from "../../support/databases.ts";
import { vectorCertificate, vectorSigner } from "../../support/signing.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const KEYS = fileURLToPath(new URL("../../vectors/authenticode/keys", import.meta.url));
const plain = vector("authenticode/pe/plain.efi.gz");
const signed = vector("authenticode/signed/plain.sbsign.signer.efi.gz");
const hash = authentihash(parsePe([plain], "x"), "sha256");

async function esl(files: Readonly<Record<string, Uint8Array>>, ...args: string[]) {
  const cwd = tempDir();
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(cwd, name), bytes);
  const result = await seal(["keys", "esl", ...args, "--output", "out.esl"], { cwd });
  return {
    ...result,
    lists: result.code === 0 ? parseSignatureLists(readFileSync(join(cwd, "out.esl")), "out") : [],
    cwd,
  };
}

describe("seal keys esl", () => {
  it("makes a list of each certificate, with the owner", async () => {
    const { code, stdout, cwd } = await esl({}, join(KEYS, "signer.crt"), join(KEYS, "ca.crt"), "--owner", OWNER);
    expect(code).toBe(0);
    expect(new Uint8Array(readFileSync(join(cwd, "out.esl")))).toEqual(certificateEsl("signer", "ca"));
    expect(stdout).toMatch(
      /^out\.esl\n {2}CN=seal test db rsa2048 +RSA-2048 .* owner 11111111-2222-3333-4444-123456789abc$/m,
    );
  });

  it("makes one list of the hashes of EFI programs, signed or not, each once", async () => {
    const other = vector("authenticode/pe/pe32.efi.gz");
    const files = { "a.efi": plain, "b.efi": signed, "c.efi": other };
    const { lists } = await esl(files, "a.efi", "b.efi", "c.efi");
    expect(lists).toHaveLength(1);
    expect(lists[0]?.signatures.map(({ data }) => toHex(data))).toEqual([
      toHex(hash),
      toHex(authentihash(parsePe([other], "x"), "sha256")),
    ]);
    expect(lists[0]?.signatures[0]?.owner).toBe("00000000-0000-0000-0000-000000000000");
  });

  it("lists both hashes of a program of odd length, and says which is whose", async () => {
    const { code, stderr, lists } = await esl({ "odd.efi": vector("authenticode/pe/unaligned-end.efi.gz") }, "odd.efi");
    const [unpadded, padded] = lists.flatMap(({ signatures }) => signatures.map(({ data }) => toHex(data)));
    expect([code, unpadded?.slice(0, 8), padded?.slice(0, 8)]).toEqual([0, "febb5b6d", "eaafb8f8"]);
    expect(stderr).toContain(`${unpadded}, which firmware computes for the file as it is, and ${padded}, which it has`);
    expect((await esl({ "a.efi": plain }, "a.efi")).stderr).toBe("");
  });

  it("names certificates by their hash for dbx", async () => {
    const { lists } = await esl({}, join(KEYS, "signer.crt"), "--by-hash");
    const { tbs } = vectorCertificate("signer");
    expect(lists.map(({ type }) => signatureKind(type))).toEqual([{ kind: "certificate hash", algorithm: "sha256" }]);
    const data = concat([createHash("sha256").update(tbs).digest(), new Uint8Array(16)]);
    expect(toHex(lists[0]?.signatures[0]?.data ?? new Uint8Array())).toBe(toHex(data));
  });

  it("takes lists and signed updates too, and drops what is there twice", async () => {
    const update = { variable: "db", write: "replace", time: new Date(0), value: certificateEsl("signer") } as const;
    const files = {
      "a.esl": certificateEsl("ca", "signer"),
      "a.auth": await signVariableChange(update, vectorSigner("ca")),
    };
    const { code, stdout } = await esl(files, "a.esl", "a.auth", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      output: "out.esl",
      entries: [
        { type: "certificate", owner: OWNER, certificate: { key: "RSA-2048" } },
        { type: "certificate", owner: OWNER, certificate: { subject: "CN=seal test db rsa2048" } },
      ],
    });
  });

  it.each<[string, Uint8Array, RegExp]>([
    [
      "text",
      Buffer.from("hello"),
      /^seal: x: is not a signature list, signed update, certificate or EFI program: .*signature list 1 needs/m,
    ],
    ["half a program", plain.subarray(0, 300), /^seal: x: /],
    ["half a certificate", vectorCertificate("ca").der.subarray(0, 300), /^seal: x: /],
    ["half a list", certificateEsl("ca").subarray(0, 300), /^seal: x: truncated or corrupt: signature list 1 needs/],
  ])("refuses %s", async (_, bytes, message) => {
    expect(await esl({ x: bytes }, "x")).toMatchObject({ code: 3, stderr: expect.stringMatching(message) });
  });

  it("refuses what is not a GUID, and no output", async () => {
    expect(await esl({}, join(KEYS, "ca.crt"), "--owner", "me")).toMatchObject({ code: 2 });
    expect(await seal(["keys", "esl", join(KEYS, "ca.crt")])).toMatchObject({
      code: 2,
      stderr: "seal: --output: give a file to write\n",
    });
  });
});
