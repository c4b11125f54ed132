/** Digests of container images: one large layer, and the same files in many. */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeLayout } from "../test/support/layout.ts";
import { findPeer, realRootfs } from "../test/support/peers.ts";
import { commandAt } from "./baseline.ts";
import { floor } from "./floor.ts";
import { type Benchmark, type Contender, sealCommand } from "./frame.ts";

const KEYS = new URL("../test/vectors/authenticode/keys/", import.meta.url);
const TAR_OPTIONS = ["--format=posix", "--pax-option=delete=atime,delete=ctime", "--numeric-owner", "--no-recursion"];

/** The files of a root filesystem as archives of about so many entries each; the first one has all directories. */
export function archives(rootfs: string, count: number, directory: string): Uint8Array[] {
  const find = (...filter: string[]) =>
    execFileSync("find", [".", ...filter, "-print0"], { cwd: rootfs, maxBuffer: 1 << 28, encoding: "latin1" })
      .split("\0")
      .filter((name) => name !== "")
      .sort();
  const directories = find("-type", "d");
  const files = find("!", "-type", "d");
  const share = Math.ceil(files.length / count);
  return Array.from({ length: count }, (_, index) => {
    const names = files.slice(index * share, (index + 1) * share);
    const input = Buffer.from(
      [...(index === 0 ? directories : []), ...names].map((name) => `${name}\0`).join(""),
      "latin1",
    );
    const archive = join(directory, `${index}.tar`);
    execFileSync("tar", ["-C", rootfs, ...TAR_OPTIONS, "--null", "-T", "-", "-cf", archive], { input });
    return readFileSync(archive);
  });
}

function pullAndCompute(path: string, directory: string): Contender {
  const cfsctl = findPeer("cfsctl") ?? "cfsctl";
  const repository = `"$(mktemp -d ${directory}/repository.XXXXXX)"`;
  const script = `set -e; r=${repository}; c="${cfsctl} --repo $r"; $c init --insecure; $c oci pull oci:${path} image; $c oci compute-id --bootable image`;
  return { name: "cfsctl 0.9.4 (pull and compute-id)", command: ["sh", "-c", script] };
}

function image(title: string, layers: number, times: number): Benchmark {
  return {
    kind: "compare",
    title,
    needs: ["cfsctl", "rootfs"],
    rounds: 3,
    aim: { times, mebibytes: 300 },
    prepare: async (directory) => {
      const path = join(directory, "layout");
      writeLayout(path, archives(realRootfs() ?? "", layers, directory));
      return [
        { name: "seal", command: sealCommand("compute-digest", `oci:${path}`, "--bootc", "next") },
        pullAndCompute(path, directory),
        await floor("layers", path),
      ];
    },
  };
}

/** The last commit before layers were read whole by one thread each, and only hashed when they are read back. */
const BEFORE = "c34b4a0";

function sealing(): Benchmark {
  return {
    kind: "compare",
    title: "`seal image` of that image of one gzip layer",
    needs: ["rootfs"],
    rounds: 3,
    aim: { times: 2, mebibytes: 450 },
    prepare: async (directory) => {
      writeLayout(join(directory, "layout"), archives(realRootfs() ?? "", 1, directory));
      const key = (kind: string) => fileURLToPath(new URL(`signer.${kind}`, KEYS));
      const args = [
        "image",
        "--from",
        "oci:layout",
        "--to",
        "oci:out:sealed",
        "--key",
        key("key"),
        "--cert",
        key("crt"),
      ];
      const common = {
        cwd: directory,
        before: () => rmSync(join(directory, "out"), { recursive: true, force: true }),
      };
      return [
        { ...common, name: "seal", command: sealCommand(...args) },
        { ...common, name: `seal ${BEFORE}`, command: commandAt(BEFORE, ...args) },
        { ...common, ...(await floor("image", "layout", "out")) },
      ];
    },
  };
}

export const benchmarks: readonly Benchmark[] = [
  image("digest of that root filesystem as an image of one gzip layer", 1, 2.4),
  image("the same image in 40 layers", 40, 3),
  sealing(),
];
