import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { configReportSchema } from "../../../src/cli/config/rows.ts";
import { seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";

const FILE = `key = "keys/db.key"
signer-input = "data"
karg = [
  "rw",
]

[rootfs]
no-kargs-d = true
output = "out"

["keys generate"]
days = 10
`;

function workspace(text = FILE): string {
  const cwd = tempDir();
  writeFileSync(join(cwd, "seal.toml"), text);
  return cwd;
}

/** The rows of `seal config` as text: the first words of each, without the blanks between. */
function cells(text: string): string[][] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/));
}

async function options(cwd: string, args: readonly string[], env = {}) {
  const { code, stdout } = await seal(["config", "--json", "--", ...args], { cwd, env });
  expect(code).toBe(0);
  return configReportSchema.parse(JSON.parse(stdout)).options;
}

describe("seal config", () => {
  it("shows what seal.toml and the environment give, and in which line", async () => {
    const result = await seal(["config"], { cwd: workspace(), env: { SEAL_CACHE: "cache", SEAL_QEMU: "" } });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(cells(result.stdout)).toEqual([
      ["OPTION", "VALUE", "FROM"],
      ["cache", "cache", "SEAL_CACHE"],
      ["key", "keys/db.key", "seal.toml:1"],
      ["signer-input", "data", "seal.toml:2"],
      ["karg", "rw", "seal.toml:3"],
      ["[rootfs] kargs-d", "false", "seal.toml:8"],
      ["[rootfs] output", "out", "seal.toml:9"],
      ["[keys generate] days", "10", "seal.toml:12"],
    ]);
  });

  it("warns of variables that give no option, whatever verb it is asked about", async () => {
    const env = {
      SEAL_CRT: "db.crt",
      SEAL_QUIET: "1",
      SEAL_BOOTC: "1.17.5",
      SEAL_KEYS: "",
      SEAL_QEMU: "qemu",
      SEALING: "1",
    };
    for (const args of [["config"], ["config", "lint"]]) {
      const { code, stdout, stderr } = await seal(args, { cwd: tempDir(), env });
      expect(code).toBe(0);
      expect(stdout).not.toMatch(/SEAL_(?:CRT|BOOTC)/);
      const known =
        "known are: SEAL_CACHE, SEAL_CERT, SEAL_CONFIG, SEAL_FIRMWARE_CODE, SEAL_FIRMWARE_VARS, SEAL_JOBS, SEAL_KEY, " +
        "SEAL_PASSPHRASE_FILE, SEAL_QEMU, SEAL_SIGNER";
      expect(stderr.trimEnd().split("\n")).toEqual([
        "warning: SEAL_BOOTC: --bootc has no environment variable; give the option, or set bootc in seal.toml",
        `warning: SEAL_CRT: unknown variable; ${known}`,
        `warning: SEAL_QUIET: unknown variable; ${known}`,
      ]);
    }
  });

  it("shows the effective options of a verb, including defaults", async () => {
    const { stdout } = await seal(["config", "rootfs"], { cwd: workspace(), env: { SEAL_JOBS: "3" } });
    const rows = cells(stdout);
    for (const row of [
      ["rootfs", "/target", "default"],
      ["output", "out", "seal.toml:9"],
      ["kargs-d", "false", "seal.toml:8"],
      ["jobs", "3", "SEAL_JOBS"],
    ]) {
      expect(rows).toContainEqual(row);
    }
    // It means nothing without --signer.
    expect(stdout).not.toContain("seal.toml:2");
  });

  it("shows the effective options of a command line", async () => {
    const rows = await options(workspace(), ["sign", "x.efi", "--secureboot-private-key=k", "--append"]);
    const row = { name: null, file: null, line: null, table: null, problem: null };
    expect(rows.filter(({ from }) => from !== "default")).toEqual([
      { ...row, option: "file", value: ["x.efi"], from: "flag", name: "file" },
      { ...row, option: "key", value: "k", from: "flag", name: "--secureboot-private-key" },
      { ...row, option: "append", value: true, from: "flag", name: "--append" },
    ]);
    const keys = await options(workspace(), ["keys", "generate"]);
    expect(keys).toContainEqual({ ...row, option: "days", value: "10", from: "file", file: "seal.toml", line: 12 });
  });

  it("shows what ukify's configuration gives", async () => {
    const cwd = workspace("");
    writeFileSync(join(cwd, "ukify.conf"), "[UKI]\n\nLinux=vmlinuz\n");
    const rows = await options(cwd, ["build-uki", "--config", "ukify.conf"]);
    expect(rows.find(({ from }) => from === "file")).toMatchObject({
      option: "linux",
      value: "vmlinuz",
      file: "ukify.conf",
      line: 3,
    });
  });

  it("says what a configuration that was found can't give, and runs nothing", async () => {
    const cwd = workspace('signer = "touch ran"\n');
    const said = "seal.toml:1; ignored because it names a program to run: give --config seal.toml";
    expect((await seal(["config", "sign"], { cwd })).stdout).toContain(said);
    expect((await seal(["config", "sign", "--config", "seal.toml"], { cwd })).stdout).not.toContain("not taken");
  });

  it("shows no PIN", async () => {
    const cwd = workspace('key = "pkcs11:token=a?pin-value=1234&x=y"\n');
    for (const args of [["config"], ["config", "sign"], ["config", "sign", "--json"]]) {
      const { stdout } = await seal(args, { cwd });
      expect(stdout).toContain("pin-value=…");
      expect(stdout).not.toContain("1234");
    }
  });

  it("says that there is nothing", async () => {
    const note = "no seal.toml here, and no variable sets an option: the defaults apply\n";
    expect(await seal(["config"], { cwd: tempDir() })).toMatchObject({ code: 0, stdout: "", stderr: note });
  });

  it.each([
    [["config", "frob"], "frob: unknown verb; see seal --help"],
    [["config", "keys"], "keys: give one of keys generate, keys esl, keys auth, keys show, keys enroll"],
    [["config", "--", "sign", "--frob"], "unknown option '--frob'. See seal help config."],
    [["config", "--schema", "--json"], "--schema and --json: give one of them"],
  ])("refuses %j", async (args, message) => {
    expect(await seal(args, { cwd: tempDir() })).toMatchObject({ code: 2, stdout: "", stderr: `seal: ${message}\n` });
  });
});
