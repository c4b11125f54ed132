import { cpSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { SERIES } from "../../src/composefs/releases.ts";
import { RULES } from "../../src/lint/rules/index.ts";
import { seal } from "../support/cli.ts";
import { makeUki, SPLIT, sealedTree, signed, UKI_PATH, UNSEALED } from "../support/lint.ts";
import { image, tarLayer } from "../support/lint-image.ts";
import { writeTree } from "../support/lint-tree.ts";
import { describeWith, realRootfs } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const report = (stdout: string) =>
  JSON.parse(stdout) as { findings: { id: string; severity: string }[]; passed: string[] };
const ids = (stdout: string) => report(stdout).findings.map(({ id }) => id);

describe("the gate for what has to be sealed", () => {
  const gate = async (...args: string[]) => {
    const { code, stdout } = await seal(["lint", ...args]);
    return { code, isTold: /not sealed/i.test(stdout) };
  };
  const cert = fileURLToPath(new URL("../vectors/authenticode/keys/signer.crt", import.meta.url));
  const unsealed = () => writeTree(join(tempDir(), "root"), UNSEALED);

  it("stops a tree and an image without a UKI: with a certificate, by name, and by the label", async () => {
    const root = unsealed();
    expect(await gate(root, "--cert", cert, "--fatal-warnings")).toEqual({ code: 1, isTold: true });
    expect(await gate(root, "--sealed")).toEqual({ code: 1, isTold: true });
    expect(await gate(image([tarLayer(UNSEALED)]), "--cert", cert)).toEqual({ code: 1, isTold: true });
    const labelled = image([tarLayer(UNSEALED)], { labels: { "containers.bootc": "sealed" } });
    expect(await gate(labelled)).toEqual({ code: 1, isTold: true });
  });

  it("lets a base pass, and what is sealed", async () => {
    const root = unsealed();
    expect((await gate(root)).code).toBe(0);
    expect((await gate(root, "--cert", cert, "--no-sealed")).code).toBe(0);
    const sealed = writeTree(join(tempDir(), "root"), await sealedTree());
    expect(JSON.parse((await seal(["lint", sealed, "--sealed", "--json"])).stdout).passed).toContain("not-sealed");
  });

  it("is a finding for programs too", async () => {
    const root = unsealed();
    const { findings } = JSON.parse((await seal(["lint", root, "--sealed", "--json"])).stdout);
    expect(findings).toContainEqual(expect.objectContaining({ id: "not-sealed", severity: "error" }));
    const sarif = JSON.parse((await seal(["lint", root, "--sealed", "--format", "sarif"])).stdout);
    expect(sarif.runs[0].results).toContainEqual(expect.objectContaining({ ruleId: "not-sealed", level: "error" }));
  });
});

describe("seal lint", () => {
  it("says of what seal rootfs wrote that it is not a root filesystem, and of a root filesystem nothing", async () => {
    const cwd = tempDir();
    mkdirSync(join(cwd, "out/boot"), { recursive: true });
    writeFileSync(join(cwd, "out/report.json"), "{}");
    const said = /^warning: out is the output of seal rootfs, not a root filesystem: .*seal verify\s+out\/boot\s/s;
    expect((await seal(["lint", "out"], { cwd })).stderr).toMatch(said);
    mkdirSync(join(cwd, "out/usr"));
    expect((await seal(["lint", "out"], { cwd })).stderr).toBe("");
  });

  it("passes a sound tree and fails one without a kernel", async () => {
    const root = writeTree(join(tempDir(), "root"), UNSEALED);
    const good = await seal(["lint", root]);
    expect(good).toMatchObject({
      code: 0,
      stderr: "",
      stdout: expect.stringMatching(/^no findings · \d+ rules passed · \d+ not applicable\n$/),
    });
    const bad = await seal(["lint", writeTree(join(tempDir(), "root"), SPLIT)]);
    expect(bad).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^error {4}kernel +usr\/lib\/modules\n {9}There is no kernel/),
    });
  });

  it("fails for warnings when it shall", async () => {
    const root = writeTree(join(tempDir(), "root"), { ...UNSEALED, "tmp/x": "" });
    expect((await seal(["lint", root])).code).toBe(0);
    expect((await seal(["lint", root, "--fatal-warnings"])).code).toBe(1);
    expect((await seal(["lint", root, "--fatal-warnings", "--skip", "nonempty-run-tmp"])).code).toBe(0);
  });

  it("recomputes the digest of a sealed tree, in both algorithms", async () => {
    const root = writeTree(join(tempDir(), "root"), SPLIT);
    const arguments_ = ["compute-digest", root, "--karg"];
    const finds = (format: string) => SERIES.filter(({ erofs, reads }) => erofs === format || reads === "all").length;
    for (const more of [[], ["--algorithm", "sha256"], ["--bootc", "1.16.3"]] as const) {
      const { stdout: karg } = await seal([...arguments_, ...more]);
      const uki = await signed(makeUki({ cmdline: `${karg.trim()} rw` }));
      writeTree(root, { [UKI_PATH]: uki });
      const { stdout } = await seal(["lint", root, "--json"]);
      // The newest finds every format; 1.16.9 wants V1.
      expect(ids(stdout)).not.toContain("uki-digest");
      const forMiddle = await seal(["lint", root, "--json", "--bootc", "1.16.9"]);
      expect(ids(forMiddle.stdout).includes("uki-digest")).toBe(more[0] === "--bootc");
      const [{ path, verdicts }] = JSON.parse(stdout).hosts;
      expect(path).toBe(UKI_PATH);
      const accepting = verdicts.filter((one: { accepts: { ok: boolean } }) => one.accepts.ok).length;
      expect(accepting).toBe(more[0] === "--bootc" ? finds("v2") : more[0] === undefined ? finds("v1") : 0);
      const forOld = await seal(["lint", root, "--json", "--bootc", "1.16.3"]);
      expect(ids(forOld.stdout).includes("uki-digest")).toBe(more[0] !== "--bootc");
    }
    writeFileSync(join(root, "etc/hostname"), "other\n");
    expect((await seal(["lint", root])).stdout).toMatch(/No known release or format/);
  });

  it("takes certificates and an SBAT level", async () => {
    const root = writeTree(join(tempDir(), "root"), { ...SPLIT, [UKI_PATH]: await signed(makeUki({})) });
    const cert = new URL("../vectors/authenticode/keys/other.crt", import.meta.url).pathname;
    const level = join(tempDir(), "level.csv");
    writeFileSync(level, "sbat,1\nuki,9\n");
    expect(ids((await seal(["lint", root, "--json"])).stdout)).not.toContain("uki-signature");
    expect(ids((await seal(["lint", root, "--json", "--cert", cert])).stdout)).toContain("uki-signature");
    for (const given of [`@${level}`, "uki,9"]) {
      expect(ids((await seal(["lint", root, "--json", "--sbat-level", given])).stdout)).toContain("uki-sbat");
    }
  });

  it("writes JSON and SARIF", async () => {
    const root = writeTree(join(tempDir(), "root"), SPLIT);
    const json = await seal(["lint", root, "--format", "json"]);
    expect((await seal(["lint", root, "--json"])).stdout).toBe(json.stdout);
    const { findings, passed } = report(json.stdout);
    expect(findings[0]).toEqual({
      ...{ id: "kernel", severity: "error", path: "usr/lib/modules" },
      ...{ message: expect.any(String), fix: expect.any(String) },
    });
    expect(passed).toContain("utf8");
    const sarif = JSON.parse((await seal(["lint", root, "--format", "sarif"])).stdout) as { version: string };
    expect(sarif.version).toBe("2.1.0");
  });

  it("lists the rules, as the documentation does", async () => {
    const { stdout } = await seal(["lint", "--list", "--json"]);
    const { rules } = JSON.parse(stdout) as { rules: { id: string; severity: string; finds: string }[] };
    expect(rules.map(({ id }) => id)).toEqual(RULES.map(({ id }) => id));
    const text = await seal(["lint", "--list"]);
    expect(text.stdout.trimEnd().split("\n")).toHaveLength(RULES.length + 1);
    const page = readFileSync(new URL("../../docs/lint.md", import.meta.url), "utf8");
    const rows = page.split("\n").flatMap((line) => (/^\| `/.test(line) ? [line.replace(/ +\|/g, " |")] : []));
    const when = { unsealed: "before sealing", sealed: "sealed", any: "both", image: "image", after: "--after" };
    const expected = RULES.map(
      ({ id, severity, applies, finds }) => `| \`${id}\` | ${severity} | ${when[applies]} | ${finds} |`,
    );
    expect(rows).toEqual(expected);
  });

  it.each<[string[], number, RegExp]>([
    [["lint", "/x", "--skip", "kernl"], 2, /--skip: there is no rule kernl\. seal lint --list/],
    [["lint", "/x", "--format", "xml"], 2, /--format: give one of text, json, sarif/],
    [["lint", "/x", "--bootc", "9"], 2, /not a known release/],
    [["lint", "/does/not/exist"], 3, /\/does\/not\/exist/],
    [["lint", "/x", "--cert", "/does/not/exist"], 3, /\/does\/not\/exist/],
    [["lint", "/x", "--sbat-level", "nonsense"], 3, /--sbat-level: not an SBAT level/],
    [["lint", "/"], 3, /running system/],
  ])("refuses %j", async (args, code, message) => {
    const result = await seal(args);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^seal: [^\n]*\n$/);
  });
});

describeWith(["rootfs", "root"], "seal lint of a real root filesystem", () => {
  const lint = async (root: string) => {
    const { code, stdout, stderr } = await seal(["lint", root, "--json", "--quiet"]);
    const { findings, couldNotRun } = JSON.parse(stdout) as {
      findings: { id: string; severity: string }[];
      couldNotRun: unknown[];
    };
    const errors = findings.filter(({ severity }) => severity === "error").map(({ id }) => id);
    return { code, stderr, couldNotRun, errors, findings: findings.map(({ id }) => id) };
  };

  it("answers every rule and finds no error in one made for bootc", async () => {
    const report = await lint(realRootfs() ?? "");
    expect(report).toMatchObject({ code: 0, stderr: "", couldNotRun: [], errors: [] });
    // Debian packages keep state below /var that no tmpfiles.d entry makes.
    expect(report.findings).toContain("var-tmpfiles");
  });

  it("finds a private key and a missing directory in a copy", async () => {
    const root = join(tempDir(), "root");
    cpSync(realRootfs() ?? "", root, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
    writeFileSync(join(root, "etc/ssh/ssh_host_rsa_key"), vector("authenticode/keys/signer.key"));
    rmdirSync(join(root, "sysroot"));
    expect(await lint(root)).toMatchObject({ code: 1, errors: expect.arrayContaining(["secrets", "composefs-dirs"]) });
  });
});
