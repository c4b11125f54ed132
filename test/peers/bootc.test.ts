/** bootc's own view of a sealed root filesystem. */
import { spawnSync } from "node:child_process";
import { cpSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { describeBootc, runBootc } from "../support/bootc.ts";
import { seal } from "../support/cli.ts";
import { realRootfs } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

/** A whole second. */
const MTIME = 1_700_000_000;

/** The release of the bootc that is asked. */
const bootcVersion = () => /\d+\.\d+\.\d+/.exec(runBootc("--version").stdout)?.[0] ?? "latest";

/** A sealed copy of the real tree, with the release that is asked, and its digest. */
async function sealedCopy(): Promise<{ root: string; digest: string }> {
  const cwd = tempDir();
  const root = join(cwd, "root");
  const copied = spawnSync("cp", ["-a", realRootfs() ?? "", root], { encoding: "utf8" });
  expect(copied.status, copied.stderr).toBe(0);
  utimesSync(join(root, "boot"), MTIME, MTIME);
  const version = bootcVersion();
  const keys = ["--key", "keys/db.key", "--cert", "keys/db.crt"];
  for (const args of [
    ["keys", "generate", "--output", "keys"],
    ["split-kernel", "--rootfs", "root", "--output", "kernel"],
    ["rootfs", "root", "--kernel-dir", "kernel", ...keys, "--bootc", version, "--mtime", "exact", "--output", "out"],
  ]) {
    const { code, stderr } = await seal(args, { cwd });
    expect(code, stderr).toBe(0);
  }
  const json = await seal(["compute-digest", "root", "--bootc", version, "--mtime", "exact"], { cwd });
  // bootc takes the nanoseconds of this directory into the digest, whatever is in it.
  cpSync(join(cwd, "out/boot"), join(root, "boot"), { recursive: true });
  utimesSync(join(root, "boot"), MTIME, MTIME);
  return { root, digest: json.stdout.trim() };
}

describeBootc(["rootfs", "root"], "a sealed tree and bootc", () => {
  it("has the digest that bootc computes, and passes its lints", async () => {
    const { root, digest } = await sealedCopy();
    const computed = runBootc("container", "compute-composefs-digest", root);
    expect(computed).toMatchObject({ status: 0, stdout: `${digest}\n` });
    const inItsPlace = await seal([
      "container",
      "compute-composefs-digest",
      root,
      "--bootc",
      bootcVersion(),
      "--mtime",
      "exact",
    ]);
    expect(inItsPlace.stdout).toBe(computed.stdout);
    const linted = runBootc("container", "lint", "--rootfs", root);
    expect(linted.status, linted.stderr).toBe(0);
  });
});
