import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { lintReportSchema } from "../../../src/cli/lint/schema.ts";
import { seal } from "../../support/cli.ts";
import { UNSEALED } from "../../support/lint.ts";
import { writeTree } from "../../support/lint-tree.ts";
import { tempDir } from "../../support/temp.ts";

/** A directory with a seal.toml of that text. */
function configured(text: string): string {
  const cwd = tempDir();
  writeFileSync(join(cwd, "seal.toml"), text);
  return cwd;
}

describe("seal.toml", () => {
  it("gives an argument or option that the command line leaves out", async () => {
    const file = join(tempDir(), "other.toml");
    writeFileSync(file, '[completion]\nshell = "fish"\n');
    const result = await seal(["completion", "bash", "--config", file]);
    expect(result.stdout).toContain("for bash");
  });

  it("gives what the command line leaves out, and loses against it", async () => {
    const cwd = configured('lint = { list = true }\n[completion]\nshell = "fish"\n');
    expect((await seal(["lint"], { cwd })).stdout).toContain("uki-digest");
    const file = configured('format = "json"\nlist = true\n');
    expect(JSON.parse((await seal(["lint"], { cwd: file })).stdout)).toMatchObject({ rules: expect.any(Array) });
    expect((await seal(["lint", "--format", "text"], { cwd: file })).stdout).toContain("SEVERITY");
  });

  it("gives a list, which the command line replaces", async () => {
    const cwd = configured('rootfs = "root"\nformat = "json"\nskip = ["uki-digest", "var-log"]\n');
    writeTree(join(cwd, "root"), UNSEALED);
    const judged = async (...args: string[]) => {
      const report = lintReportSchema.parse(JSON.parse((await seal(["lint", ...args], { cwd })).stdout));
      return [...report.passed, ...report.notApplicable.map(({ id }) => id), ...report.findings.map(({ id }) => id)];
    };
    const skipping = await judged();
    expect(skipping).toContain("sysusers");
    expect(skipping).not.toContain("uki-digest");
    expect(skipping).not.toContain("var-log");
    const others = await judged("--skip", "sysusers");
    expect(others).toContain("uki-digest");
    expect(others).not.toContain("sysusers");
  });

  it("passes an option over where the one that it requires is not given", async () => {
    const cwd = configured('signer-input = "data"\nlayer-size = "1M"\nkey = "none.key"\n');
    writeFileSync(join(cwd, "x.efi"), "");
    expect((await seal(["sign", "x.efi"], { cwd })).stderr).toMatch(/none\.key: can't be read/);
    expect((await seal(["sign", "x.efi", "--signer-input", "data"], { cwd })).stderr).toMatch(
      /\nseal: --signer-input: requires --signer\n/,
    );
  });

  it("does not hide that two of its options exclude each other", async () => {
    const cwd = configured('key = "a.key"\nsigner = "sign"\n');
    const args = ["sign", "x.efi", "--config", "seal.toml"];
    expect((await seal(args, { cwd })).stderr).toBe(
      "seal: seal.toml:1: key and seal.toml:2: signer: give one of them\n",
    );
  });

  it("is named with what it gives, unless it was given", async () => {
    const cwd = configured('list = true\nformat = "json"\nshell = "fish"\n');
    const note = "list, format from seal.toml in this directory; --config names another file\n";
    expect((await seal(["lint"], { cwd })).stderr).toBe(note);
    for (const args of [
      ["lint", "--config", "seal.toml"],
      ["lint", "--quiet"],
      ["completion", "bash"],
    ]) {
      expect((await seal(args, { cwd })).stderr).toBe("");
    }
  });

  it.each([
    ["signer", "sign x.efi --output y", 'signer = "touch ran; false"\ncert = "none.crt"\n', "names a program to run"],
    ["qemu", "boot-test boot", 'qemu = "./qemu"\n', "names a program to run"],
    [
      "key",
      "sign x.efi --output y",
      'key = "pkcs11:token=a?pin-value=1&module-path=./x.so"\n',
      "names a library to load",
    ],
    [
      "cache",
      "compute-digest x.efi",
      'cache = "cache"\n',
      "names a cache, whose records of layer contents are trusted",
    ],
    ["tls-verify", "compute-digest x.efi", "tls-verify = false\n", "accepts any registry, whatever its certificate"],
    ["no-tls-verify", "inspect x.efi", "no-tls-verify = true\n", "accepts any registry, whatever its certificate"],
    ["authfile", "inspect x.efi", 'authfile = "a"\n', "names a file that can name programs to run for logins"],
    ["output", "sign x.efi", '[sign]\noutput = "/tmp/y"\n', "writes outside the working directory"],
    ["write-image-to", "compute-digest x", 'write-image-to = "a/../../b"\n', "writes outside the working directory"],
    ["to", "image --from oci:x", 'to = "docker://evil.example/x"\n', "writes outside the working directory"],
    ["to", "image --from oci:x", 'to = "oci:../x:1"\n', "writes outside the working directory"],
  ])("that was only found can't give %s", async (name, command, text, what) => {
    const cwd = configured(text);
    writeFileSync(join(cwd, "x.efi"), "");
    const found = await seal(command.split(" "), { cwd });
    expect(found).toMatchObject({ code: 2, stdout: "" });
    expect(found.stderr).toBe(
      `seal: seal.toml:${text.startsWith("[") ? 2 : 1}: ${name} ${what}, but was only found in this directory, not named with --config. Give --config seal.toml if it is yours\n`,
    );
    expect(existsSync(join(cwd, "ran"))).toBe(false);
    const given = await seal([...command.split(" "), "--config", "seal.toml"], { cwd });
    expect(given.stderr).not.toContain("found here");
  });

  it("takes a list for an option that another verb takes one value for", async () => {
    const cwd = configured('cert = ["a.crt", "b.crt"]\n');
    expect((await seal(["verify", "none.efi"], { cwd })).stderr).toMatch(/[ab]\.crt: can.t be read/);
    expect((await seal(["sign", "none.efi"], { cwd })).stderr).toMatch(/cert: takes a string/);
  });

  it("takes other spellings of options", async () => {
    const cwd = configured('secureboot-private-key = "none.key"\nsecureboot-certificate = "none.crt"\n');
    writeFileSync(join(cwd, "x.efi"), "");
    expect((await seal(["sign", "x.efi"], { cwd })).stderr).toMatch(/none\.key: can't be read/);
    const own = configured('key = "one.key"\n[sign]\nsecureboot-private-key = "two.key"\n');
    expect((await seal(["sign", "x.efi"], { cwd: own })).stderr).toMatch(/two\.key: can't be read/);
  });

  it.each([
    ["a key that no verb has", "frob = 1\n", /frob: unknown option/],
    ["a key that the verb has not", '[completion]\nkey = "x"\n', /^seal: seal\.toml:2: key: unknown option/],
    ["a value of the wrong type", "[completion]\nshell = true\n", /shell: takes a string/],
    [
      "text that is not valid TOML",
      "# x\n\nshell = = 1\n",
      /^seal: seal\.toml:3:9: is not valid TOML: invalid value$/m,
    ],
    ["a key twice", "list = true\nlist = true\n", /^seal: seal\.toml:2:1: is not valid TOML: trying to redefine/],
    ["a number for a text", "output = 3\n", /^seal: seal\.toml:1: output: takes a string, not a number: write "3"$/m],
    ["a number for texts", "bootc = [\n 1.17]\n", /^seal: seal\.toml:1: bootc: takes a list of strings, not a list$/m],
    ["a text for a number", 'jobs = "4"\n', /^seal: seal\.toml:1: jobs: takes a number, not a string$/m],
    [
      "a time",
      "[sign]\nsigning-time = 2026-01-02\n",
      /:2: signing-time: takes a string, not a time; put it in quotes$/m,
    ],
    ["a text for a flag", '[lint]\nlist = "yes"\n', /:2: list: takes true or false, not a string$/m],
    ["a table", "[list]\na = 1\n", /:1: list: takes true or false, not a table$/m],
  ])("refuses %s with exit code 2 and one line", async (_, text, message) => {
    const result = await seal(["completion", "bash"], { cwd: configured(text) });
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(result.stderr.trimEnd()).not.toContain("\n");
  });

  it("is named in messages about its values", async () => {
    const cwd = configured('# mine\nformat = "xml"\n[sign]\nchain = [\n  "a.crt",\n]\nkey = "a"\nsigner = "b"\n');
    expect((await seal(["lint"], { cwd })).stderr).toMatch(/\nseal: seal\.toml:2: format: give one of text, json, /);
    expect((await seal(["sign", "x", "--config", "./seal.toml"], { cwd })).stderr).toBe(
      "seal: ./seal.toml:7: key and ./seal.toml:8: signer: give one of them\n",
    );
    const cert = configured('[build-uki]\n\ncert = "x.crt"\n');
    expect((await seal(["build-uki", "--linux", "x"], { cwd: cert })).stderr).toMatch(
      /\nseal: seal\.toml:3: cert: give its key too, with --key or --signer\n/,
    );
  });

  it("is UTF-8, for names with other characters would be those of other files", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "seal.toml"), Buffer.from('key = "\xe9.key"\n', "latin1"));
    expect(await seal(["completion", "bash"], { cwd })).toMatchObject({
      code: 2,
      stdout: "",
      stderr: "seal: seal.toml: is not valid UTF-8; save it as UTF-8\n",
    });
  });

  it("is no larger than a text", async () => {
    const file = join(tempDir(), "disk.img");
    writeFileSync(file, "");
    truncateSync(file, 1 << 30);
    const result = await seal(["completion", "bash", "--config", file]);
    expect(result).toMatchObject({ code: 3, stdout: "" });
    expect(result.stderr).toMatch(/disk\.img: can't be read: too large: 1073741824 bytes/);
  });

  it("says which file is missing when --config names one", async () => {
    const result = await seal(["completion", "bash", "--config", "none.toml"], { cwd: tempDir() });
    expect(result.code).toBe(3);
    expect(result.stderr).toMatch(/none\.toml: can't be read: no such file/);
  });
});
