import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { toHex, utf8 } from "../../../src/bytes.ts";
import { parseVariableUpdate, signedOctets, type VariableChange } from "../../../src/sign/authvar.ts";
import { timeText } from "../../../src/sign/efi-time.ts";
import { knownGuid } from "../../../src/sign/guid.ts";
import { identifyUpdate, readUpdateSignature } from "../../../src/sign/update-signature.ts";
import { verifyMessage } from "../../../src/sign/verify-message.ts";
import { type CliOptions, seal } from "../../support/cli.ts";
import { certificateEsl } from "../../support/databases.ts";
import { tempDir } from "../../support/temp.ts";

const KEYS = fileURLToPath(new URL("../../vectors/authenticode/keys", import.meta.url));
const SIGNER = ["--key", join(KEYS, "ca.key"), "--cert", join(KEYS, "ca.crt")];
const SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23";

async function auth(args: readonly string[], options: CliOptions = {}) {
  const cwd = tempDir();
  writeFileSync(join(cwd, "db.esl"), certificateEsl("signer"));
  writeFileSync(join(cwd, "empty.esl"), "");
  writeFileSync(join(cwd, "any"), "anything");
  const result = await seal(["keys", "auth", ...args, ...SIGNER, "--output", "out.auth"], { cwd, ...options });
  const read = () => parseVariableUpdate(readFileSync(join(cwd, "out.auth")), "out.auth");
  return { ...result, read, written: existsSync(join(cwd, "out.auth")) };
}

describe("seal keys auth", () => {
  it.each([
    ["PK", [], "replace"],
    ["KEK", [], "replace"],
    ["db", ["--append"], "append"],
    ["dbx", ["--append"], "append"],
  ] as const)("signs an update of %s %j", async (variable, options, write) => {
    const { code, read, stdout } = await auth([variable, "db.esl", ...options]);
    expect(code).toBe(0);
    expect(identifyUpdate(read(), "x")).toMatchObject({ purpose: { variable, write } });
    expect(toHex(read().value)).toBe(toHex(certificateEsl("signer")));
    expect(stdout).toMatch(/^out\.auth: (replaces|adds to) \w+, dated 2026-01-02T03:04:05\.000Z, signed by CN=/);
  });

  it("takes certificates and EFI programs for lists of them", async () => {
    const { read } = await auth(["db", join(KEYS, "signer.crt"), "--owner", "11111111-2222-3333-4444-123456789abc"]);
    expect(toHex(read().value)).toBe(toHex(certificateEsl("signer")));
  });

  it("deletes", async () => {
    const { code, read, stdout } = await auth(["PK", "--delete", "--json"]);
    expect(code).toBe(0);
    expect(identifyUpdate(read(), "x").purpose).toEqual({ variable: "PK", write: "replace" });
    expect(read().value).toHaveLength(0);
    expect(JSON.parse(stdout)).toMatchObject({ variable: "PK", write: "replace", size: 0, output: "out.auth" });
  });

  it("is dated as told, as SOURCE_DATE_EPOCH says, or now", async () => {
    const epoch = { env: { SOURCE_DATE_EPOCH: "1700000000" } };
    const time = async (args: string[], options: CliOptions) =>
      timeText((await auth(["db", "db.esl", ...args], options)).read().time);
    expect(await time(["--timestamp", "2027-02-03T04:05:06+01:00"], epoch)).toBe("2027-02-03T03:05:06.000Z");
    expect(await time([], epoch)).toBe(new Date(1_700_000_000_000).toISOString());
    expect(await time([], { now: new Date("2026-05-06T07:08:09.999Z") })).toBe("2026-05-06T07:08:09.000Z");
    expect(await time(["--timestamp", "now"], { ...epoch, now: new Date(5000) })).toBe(new Date(5000).toISOString());
  });

  it("signs updates of any other variable, with its attributes", async () => {
    const args = ["MokList", "any", "--guid", SHIM, "--attributes", "NON_VOLATILE,BOOTSERVICE_ACCESS"];
    const update = (await auth(args)).read();
    const message = readUpdateSignature(update, "x");
    const change: VariableChange = {
      variable: { name: "MokList", vendor: knownGuid(SHIM) },
      write: "replace",
      attributes: ["NON_VOLATILE", "BOOTSERVICE_ACCESS"],
      time: update.time,
      value: utf8("anything"),
    };
    expect(toHex(signedOctets(change)).slice(28, 28 + 40)).toBe("50ab5d6046e00043abb63dd810dd8b2323000000");
    expect(verifyMessage(message, signedOctets(change))).toBeNull();
    const { attributes: _, ...all } = change;
    expect(verifyMessage(message, signedOctets(all))).not.toBeNull();
    expect(toHex(signedOctets(all)).slice(28 + 32, 28 + 40)).toBe("27000000");
  });

  it.each<[string, string[], number, RegExp]>([
    [
      "an unknown variable without GUID",
      ["MokList", "any"],
      2,
      /MokList is not one of PK, KEK, db, dbx; give its --guid/,
    ],
    [
      "a GUID where it is known",
      ["db", "db.esl", "--guid", SHIM],
      2,
      /--guid and --attributes: fixed for db; omit them/,
    ],
    ["nothing to write", ["db"], 2, /give the new value, or --delete/],
    ["a file and --delete", ["db", "db.esl", "--delete"], 2, /or --delete and no file/],
    ["--append and --delete", ["db", "--append", "--delete"], 2, /give one of them/],
    ["an empty file", ["db", "empty.esl"], 2, /which would delete db; give --delete for that/],
    ["unknown attributes", ["X", "any", "--guid", SHIM, "--attributes", "RUNTIME"], 2, /give names from NON_VOLATILE/],
    ["an impossible time", ["db", "db.esl", "--timestamp", "2026-02-31T00:00:00Z"], 2, /--timestamp: give a time like/],
    ["no list", ["db", "any"], 3, /any: is not a signature list/],
  ])("refuses %s, and writes nothing", async (_, args, code, message) => {
    const result = await auth(args);
    expect(result).toMatchObject({ code, stdout: "", stderr: expect.stringMatching(message), written: false });
  });
});
