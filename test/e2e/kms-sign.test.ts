/** The example signer for cloud KMSs, with programs in the clouds' place that check what they are asked and sign. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/external-signing/kms-sign", import.meta.url));
const GCLOUD_KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
const AZURE_KEY = "https://vault.vault.azure.net/keys/db/1";

/** What the programs in the clouds' place share: they write down their arguments, and sign as the real ones do. */
const COMMON = `
const { appendFileSync, readFileSync } = require("node:fs");
const { createPrivateKey, privateEncrypt, constants } = require("node:crypto");
const args = process.argv.slice(2);
const name = require("node:path").basename(process.argv[1]);
appendFileSync(process.env.CALLS, JSON.stringify([name, ...args]) + "\\n");
const after = (flag) => args[args.indexOf(flag) + 1];
/** RSASSA-PKCS1-v1_5 of a SHA-256 digest. */
function sign(digest) {
  if (digest.length !== 32) throw new Error("no digest: " + digest.length + " bytes");
  const info = Buffer.concat([Buffer.from("3031300d060960864801650304020105000420", "hex"), digest]);
  return privateEncrypt({ key: createPrivateKey(readFileSync(process.env.KEY)), padding: constants.RSA_PKCS1_PADDING }, info);
}
`;
const PROGRAMS = {
  aws: `process.stdout.write(sign(readFileSync(after("--message").replace("fileb://", ""))).toString("base64") + "\\n");`,
  gcloud: `process.stdout.write("TOKEN\\n");`,
  az: `process.stdout.write("TOKEN\\n");`,
  curl: `
const config = readFileSync(0, "utf8");
if (config !== 'header = "Authorization: Bearer TOKEN"\\n') throw new Error("unauthorized: " + config);
const request = JSON.parse(after("-d"));
if (args.at(-1).includes("googleapis")) {
  const signature = sign(Buffer.from(request.digest.sha256, "base64")).toString("base64");
  process.stdout.write(JSON.stringify({ signature, signatureCrc32c: "1", name: "n" }, null, 2));
} else {
  const value = sign(Buffer.from(request.value, "base64url")).toString("base64url");
  process.stdout.write(JSON.stringify({ kid: "k", value }));
}`,
};

function clouds(programs: Readonly<Record<string, string>> = PROGRAMS) {
  const cwd = tempDir();
  mkdirSync(join(cwd, "bin"));
  for (const [name, body] of Object.entries(programs)) {
    writeFileSync(join(cwd, "bin", name), `#!${process.execPath}\n${COMMON}${body}\n`);
    chmodSync(join(cwd, "bin", name), 0o755);
  }
  writeFileSync(join(cwd, "x.efi"), vector("authenticode/pe/plain.efi.gz"));
  for (const end of ["key", "crt"]) writeFileSync(join(cwd, `db.${end}`), vector(`authenticode/keys/signer.${end}`));
  const calls = () =>
    readFileSync(join(cwd, "calls"), "utf8")
      .trim()
      .split("\n")
      .map((line): string[] => JSON.parse(line));
  const sign = (kms: string, key: string) =>
    seal(["sign", "x.efi", "--signer", `'${EXAMPLE}'`, "--cert", "db.crt"], {
      cwd,
      env: {
        PATH: `${join(cwd, "bin")}:${process.env["PATH"]}`,
        CALLS: join(cwd, "calls"),
        KEY: join(cwd, "db.key"),
        KMS: kms,
        KMS_KEY: key,
      },
    });
  return { cwd, calls, sign };
}

describe("examples/external-signing/kms-sign", () => {
  it.each<[string, string, string[][]]>([
    [
      "aws",
      "alias/secure-boot-db",
      [
        [
          ...["aws", "kms", "sign", "--key-id", "alias/secure-boot-db", "--message-type", "DIGEST"],
          ...["--signing-algorithm", "RSASSA_PKCS1_V1_5_SHA_256", "--message", expect.stringMatching(/^fileb:\/\//)],
          ...["--output", "text", "--query", "Signature"],
        ],
      ],
    ],
    [
      "gcloud",
      GCLOUD_KEY,
      [
        ["gcloud", "auth", "print-access-token"],
        expect.arrayContaining([`https://cloudkms.googleapis.com/v1/${GCLOUD_KEY}:asymmetricSign`]),
      ],
    ],
    [
      "azure",
      AZURE_KEY,
      [
        [
          ...["az", "account", "get-access-token", "--resource", "https://vault.azure.net"],
          ...["--query", "accessToken", "--output", "tsv"],
        ],
        expect.arrayContaining([`${AZURE_KEY}/sign?api-version=7.4`]),
      ],
    ],
  ])("signs with %s, and shows no token to other processes", async (kms, key, expected) => {
    const { cwd, calls, sign } = clouds();
    const result = await sign(kms, key);
    expect(result.code, result.stderr).toBe(0);
    expect((await seal(["verify", "x.efi", "--cert", "db.crt"], { cwd })).code).toBe(0);
    expect(calls()).toEqual(expected);
    expect(calls().flat().join(" ")).not.toContain("TOKEN");
  });

  it.each<[string, string, Record<string, string>, RegExp]>([
    [
      "the program of the cloud",
      "aws",
      { ...PROGRAMS, aws: 'console.error("AccessDenied"); process.exit(254);' },
      /AccessDenied/,
    ],
    [
      "the login",
      "gcloud",
      { ...PROGRAMS, gcloud: 'console.error("not logged in"); process.exit(1);' },
      /not logged in/,
    ],
    ["the API", "azure", { ...PROGRAMS, curl: 'console.error("403"); process.exit(22);' }, /403/],
    [
      "an answer without signature",
      "azure",
      { ...PROGRAMS, curl: 'process.stdin.resume(); console.log("{}");' },
      /0 bytes|no signature/,
    ],
    ["a cloud that it does not know", "other", PROGRAMS, /KMS is "other": give aws, gcloud, azure or local/],
  ])("fails with %s, and nothing is written", async (_, kms, programs, message) => {
    const { cwd, sign } = clouds(programs);
    const result = await sign(kms, "k");
    expect(result).toMatchObject({ code: 4, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(readFileSync(join(cwd, "x.efi")).equals(vector("authenticode/pe/plain.efi.gz"))).toBe(true);
  });
});
