/** The JSON Schema of seal.toml, by a validator of others, against what seal itself takes. */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { describeWith, findPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const page = fileURLToPath(new URL("../../docs/seal-toml.md", import.meta.url));
const [, DOCUMENTED = ""] = /```toml\n(.*?)```/s.exec(readFileSync(page, "utf8")) ?? [];

const GOOD: Readonly<Record<string, string>> = {
  "the example of the page": DOCUMENTED,
  nothing: "",
  "flags and their opposites": "json = true\nno-kargs-d = true\nsealed = false\nno-cache = true\n",
  numbers: 'jobs = 4\n[boot-test]\ntimeout = 30\n["keys generate"]\ndays = 10\n',
  "one for a list, and a list": 'karg = "rw"\n[image]\nkarg = ["rw", "quiet"]\n',
  "other spellings": 'secureboot-private-key = "a"\n[sign]\nsecureboot-certificate = "b"\n',
  "a verb and an argument of one name": 'rootfs = "/target"\n',
  "that verb's table": '[rootfs]\nrootfs = "/target"\nalgorithm = "sha256"\n',
  "what two verbs take in two ways": 'cert = ["a", "b"]\n',
  "a flag that takes words": '[build-uki]\njson = "pretty"\n',
};

const BAD: Readonly<Record<string, string>> = {
  "a key that there is not": "frob = true\n",
  "a key that the verb has not": '[completion]\nkey = "x"\n',
  "a number for a text": "output = 3\n",
  "a text for a number": 'jobs = "4"\n',
  "a number that is too large": '["keys generate"]\ndays = 100000\n',
  "a word that there is not": '[lint]\nformat = "xml"\n',
  "a list for one": '[sign]\nkey = ["a", "b"]\n',
  "numbers in a list": "bootc = [1.17]\n",
  "a text for a flag": 'append = "yes"\n',
};

function check(cwd: string, ...args: readonly string[]) {
  return spawnSync(findPeer("check-jsonschema") ?? "", args, { cwd, encoding: "utf8" });
}

describeWith(["check-jsonschema"], "seal config --schema", () => {
  let schema = "";
  beforeAll(async () => {
    schema = (await seal(["config", "--schema"])).stdout;
  });

  /** @returns the directory with the file too */
  function judge(text: string) {
    const cwd = tempDir();
    writeFileSync(join(cwd, "schema.json"), schema);
    writeFileSync(join(cwd, "seal.toml"), text);
    const { status, stdout } = check(cwd, "--schemafile", "schema.json", "seal.toml");
    return { status, stdout, cwd };
  }

  it("is a JSON Schema", () => {
    const { status, stdout } = check(judge("").cwd, "--check-metaschema", "schema.json");
    expect(status, stdout).toBe(0);
  });

  it.each(Object.entries(GOOD))("takes %s, as seal does", async (_, text) => {
    const { status, stdout, cwd } = judge(text);
    expect(status, stdout).toBe(0);
    expect(await seal(["config"], { cwd })).toMatchObject({ code: 0 });
  });

  it.each(Object.entries(BAD))("refuses %s", (_, text) => {
    expect(judge(text).status).toBe(1);
  });
});
