import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { directoryMounts, parseDirectoryMounts } from "../../src/io/mounts.ts";
import { describeWith } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const mount = (point: string, { root = "/", type = "overlay", options = "rw" } = {}) =>
  `36 35 98:0 ${root} ${point} rw,noatime master:1 - ${type} source ${options}\n`;

describe("the mounts that a directory consists of", () => {
  const ROOT = mount("/", { options: "rw,lowerdir=/var/lib/buildkit/snapshots/2/fs" });

  it("are those in it, by their paths there", () => {
    const text = `${ROOT}${mount("/target")}${mount("/target/etc/resolv.conf")}${mount("/target/a\\040b")}${mount("/target2/x")}${mount("/target/proc")}${mount("/target/proc")}`;
    expect(parseDirectoryMounts(text, "/target", "host")).toEqual({
      mounted: ["etc/resolv.conf", "a b", "proc"],
      buildkit: false,
    });
    expect(parseDirectoryMounts(text, "/", "host").mounted).toContain("target/etc/resolv.conf");
  });

  it("are BuildKit's by the name of the machine or by the files of its executor", () => {
    expect(parseDirectoryMounts(ROOT + mount("/target"), "/target", "buildkitsandbox").buildkit).toBe(true);
    const resolver = mount("/etc/resolv.conf", { root: "/var/lib/docker/buildkit/executor/resolv.conf", type: "ext4" });
    expect(parseDirectoryMounts(ROOT + resolver + mount("/target"), "/target", "other").buildkit).toBe(true);
    expect(parseDirectoryMounts(ROOT + mount("/target"), "/target", "other").buildkit).toBe(false);
  });

  it("are looked at as they lie on one another, and Docker's older store keeps what the others drop", () => {
    const older = mount("/target", {
      options: "ro,lowerdir=/var/lib/docker/overlay2/l/ABC:/var/lib/docker/overlay2/l/DEF",
    });
    expect(parseDirectoryMounts(ROOT + older, "/target", "buildkitsandbox").buildkit).toBe(false);
    expect(parseDirectoryMounts(ROOT + older, "/target/below", "buildkitsandbox").buildkit).toBe(false);
    expect(parseDirectoryMounts(ROOT + older, "/targets", "buildkitsandbox").buildkit).toBe(true);
    expect(parseDirectoryMounts(older + mount("/target"), "/target", "buildkitsandbox").buildkit).toBe(true);
    const bind = mount("/target", { type: "ext4" });
    expect(parseDirectoryMounts(ROOT + bind, "/target", "buildkitsandbox").buildkit).toBe(false);
  });

  it("are none where nothing is told", () => {
    expect(parseDirectoryMounts("", "/target", "host")).toEqual({ mounted: [], buildkit: false });
    expect(parseDirectoryMounts("garbage\n - \n", "/target", "host")).toEqual({ mounted: [], buildkit: false });
    expect(directoryMounts(join(tempDir(), "none"))).toEqual({ mounted: [], buildkit: false });
    expect(directoryMounts(tempDir())).toEqual({ mounted: [], buildkit: false });
  });
});

describeWith(["root"], "the mounts in a directory of this machine", () => {
  it("are found through symlinks", () => {
    const path = tempDir();
    mkdirSync(join(path, "etc"));
    for (const name of ["own", "etc/hosts"]) writeFileSync(join(path, name), "");
    const script = `
      import { directoryMounts } from ${JSON.stringify(new URL("../../src/io/mounts.ts", import.meta.url).href)};
      console.log(JSON.stringify(directoryMounts("link")));`;
    const shell = 'mount --bind own etc/hosts && ln -s . link && exec "$0" --input-type=module --eval "$1"';
    const found = execFileSync(
      "unshare",
      ["--mount", "--propagation", "private", "sh", "-c", shell, process.execPath, script],
      { cwd: path, encoding: "utf8" },
    );
    expect(JSON.parse(found)).toEqual({ mounted: ["etc/hosts"], buildkit: false });
  });
});
