/** `seal lint NEXT --after IMAGE`, on directories and images. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { seal } from "../support/cli.ts";
import { certificateEsl } from "../support/databases.ts";
import { keySet } from "../support/key-sets.ts";
import { dpkg, makeUki, SPLIT, signed, systemdBoot, UKI_PATH } from "../support/lint.ts";
import { image, type JsonReport, sealedLayers, tarLayer } from "../support/lint-image.ts";
import { writeTree } from "../support/lint-tree.ts";
import type { VectorKey } from "../support/signing.ts";
import { tempDir } from "../support/temp.ts";
import type { MemoryFiles } from "../support/tree.ts";

const KEYS = Object.fromEntries(
  [...(await keySet())].map(([name, bytes]) => [`usr/lib/bootc/install/secureboot-keys/auto/${name}.auth`, bytes]),
);
const BASE: MemoryFiles = {
  ...SPLIT,
  ...dpkg("1.17.5"),
  "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed": await signed(systemdBoot("257.9")),
};

/** A sealed directory. */
async function tree(version: string, key: VectorKey = "signer", more: MemoryFiles = {}): Promise<string> {
  const files = { ...BASE, ...KEYS, "usr/lib/version": version, ...more };
  const root = writeTree(join(tempDir(), "root"), files);
  const { stdout } = await seal(["compute-digest", root, "--karg"]);
  return writeTree(root, {
    [UKI_PATH]: await signed(makeUki({ cmdline: `${stdout.trim()} rw` }), key),
    "boot/EFI/BOOT/BOOTX64.EFI": await signed(systemdBoot("257.9"), key),
  });
}

async function lint(next: string, ...args: readonly string[]) {
  const { stdout, stderr, code } = await seal(["lint", next, ...args, "--json"]);
  if (stdout === "") throw new Error(stderr);
  const report = JSON.parse(stdout) as JsonReport;
  const findings = report.findings.filter(({ id, severity }) => id.startsWith("after-") && severity !== "info");
  const { after } = JSON.parse(stdout) as { after: unknown };
  return { code, report, ids: findings.map(({ id }) => id), after };
}

describe("seal lint --after", () => {
  it("finds nothing where the next version follows, and an error where nobody trusts its signer", async () => {
    const installed = await tree("1");
    const next = await tree("2");
    const yes = { ok: true, rules: [] };
    expect(await lint(next, "--after", installed)).toMatchObject({
      code: 0,
      ids: [],
      after: { image: installed, starts: yes, back: yes },
    });
    const foreign = await tree("2", "db4096");
    expect(await lint(foreign, "--after", installed)).toMatchObject({
      code: 1,
      ids: ["after-signature"],
      after: { starts: { ok: false, rules: ["after-signature"] }, back: yes },
    });
    expect((await lint(next)).after).toBeNull();
    expect((await lint(next)).report.notApplicable).toContainEqual({
      id: "after-signature",
      reason: expect.stringContaining("--after"),
    });
  });

  it("says the same in text and SARIF", async () => {
    const [installed, next] = [await tree("1"), await tree("2", "db4096")];
    const text = await seal(["lint", next, "--after", installed]);
    expect(text).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(
        /^error {4}after-signature +boot\/EFI\/Linux\/6\.12\.1\.efi\n {9}Machines with .*refuse to start it/m,
      ),
    });
    expect(text.stdout).toMatch(/^info {5}after-machine /m);
    expect(text.stdout).toContain(
      `after    ${installed}\n         Does it start there? No (after-signature). Is there a way back? Yes.\n`,
    );
    const sarif = await seal(["lint", next, "--after", installed, "--format", "sarif"]);
    expect(JSON.parse(sarif.stdout).runs[0].results).toContainEqual(
      expect.objectContaining({ ruleId: "after-signature", level: "error" }),
    );
  });

  it("goes by the db and dbx that are given", async () => {
    const [installed, next] = [await tree("1"), await tree("2", "db4096")];
    const directory = tempDir();
    const file = (name: string, bytes: Uint8Array) => {
      writeFileSync(join(directory, name), bytes);
      return join(directory, name);
    };
    const both = ["--db", file("a.esl", certificateEsl("signer")), "--db", file("b.esl", certificateEsl("db4096"))];
    expect(await lint(next, "--after", installed, ...both)).toMatchObject({ ids: [] });
    const revoked = await seal(["keys", "esl", join(installed, UKI_PATH), "--output", join(directory, "dbx.esl")]);
    expect(revoked).toMatchObject({ code: 0 });
    const dbx = ["--dbx", join(directory, "dbx.esl")];
    expect(await lint(next, "--after", installed, ...both, ...dbx)).toMatchObject({ ids: ["after-rollback"] });
    const empty = ["--db", file("empty", new Uint8Array())];
    expect((await lint(next, "--after", installed, ...empty)).ids).toContain("after-signature");
  });

  it("takes images, and judges layers and digest by the bootc of the one that runs", async () => {
    const layers = (version: string, bootc: string) => [
      tarLayer({ ...BASE, ...KEYS, ...dpkg(bootc), "usr/lib/version": version }),
    ];
    const old = image(await sealedLayers(layers("1", "1.15.1"), { digest: ["--bootc", "1.15.1"] }));
    const next = image(await sealedLayers(layers("2", "1.17.5")));
    const { report, ids } = await lint(next, "--after", old);
    expect(ids).toContain("after-release");
    expect(report.findings).toContainEqual(
      expect.objectContaining({
        id: "after-release",
        message: expect.stringMatching(/bootc 1\.15\.1, which refuses it: it computes v2/),
      }),
    );
    expect((await lint(next, "--after", old, "--bootc", "1.17.5")).ids).not.toContain("after-release");
    expect((await lint(next, "--after", next)).ids).toEqual([]);
  });

  it("says what could not be judged, and that nothing is sealed", async () => {
    const bare = writeTree(join(tempDir(), "root"), SPLIT);
    const next = await tree("2");
    const { code, ids } = await lint(next, "--after", bare, "--fatal-warnings");
    expect({ code, ids }).toEqual({
      code: 1,
      ids: ["after-machine", "after-release", "after-signature", "after-esp", "after-keys"],
    });
    const unsealed = await lint(bare, "--after", next);
    expect(unsealed).toMatchObject({ code: 1, ids: [], after: { starts: { ok: false, rules: ["not-sealed"] } } });
    expect(unsealed.report.findings.map(({ id }) => id)).toContain("not-sealed");
  });

  it.each<[string[], number, RegExp]>([
    [["lint", "/x", "--db", "db.esl"], 2, /--db: requires --after/],
    [["lint", "/x", "--dbx", "dbx.esl"], 2, /--dbx: requires --after/],
    [["lint", "/x", "--after", ""], 2, /--after: give a root filesystem/],
    [["lint", "/x", "--after", "ftp:x"], 2, /"ftp:x" is not a root filesystem/],
    [["lint", "/x", "--after", "/y", "--db", "/does/not/exist"], 3, /\/does\/not\/exist/],
    [["lint", "test/vectors", "--after", "/does/not/exist"], 3, /\/does\/not\/exist/],
    [
      ["lint", "test/vectors", "--after", "test/vectors", "--db", "package.json"],
      3,
      /package\.json: is not a signature list/,
    ],
  ])("refuses %j", async (args, code, message) => {
    const result = await seal(args);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^seal: [^\n]*\n$/);
  });
});
