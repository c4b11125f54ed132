/** BuildKit by itself, as its own module builds it, without Docker around it. */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, copyFileSync, existsSync, mkdirSync, openSync, readFileSync, renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { BUILDER_TREES, endDaemon, type ImageBuilder } from "./builders.ts";
import { containerTools } from "./containers.ts";
import { inTree, PEERS_DIR } from "./peers.ts";

const PROGRAMS = join(PEERS_DIR, "buildkit-0.34.2/bin");

/** Where the daemon of {@link buildkitBuilder} listens, in the builder's directory. */
export const BUILDKIT_SOCKET = "sock";

/**
 * @param directory gets its store; below `/tmp`
 * @returns a reason why it can't run here
 */
export async function buildkitBuilder(directory: string): Promise<ImageBuilder | string> {
  if (!existsSync(join(PROGRAMS, "buildkitd"))) return "no BuildKit; SEAL_TEST_BUILDKIT=1 test/peers/install builds it";
  mkdirSync(directory);
  const at = (name: string) => join(directory, name);
  // The tree with runc sees nothing outside of /tmp.
  for (const name of ["buildkitd", "buildctl"]) copyFileSync(join(PROGRAMS, name), at(name));
  const command = (name: string, ...args: readonly string[]) => [
    ...inTree(join(PEERS_DIR, BUILDER_TREES.trixie)),
    at(name),
    "--addr",
    `unix://${at(BUILDKIT_SOCKET)}`,
    ...args,
  ];
  const worker = ["--containerd-worker=false", "--oci-worker-net=host", "--oci-worker-snapshotter=overlayfs"];
  const [program = "", ...args] = command("buildkitd", "--root", at("root"), "--oci-worker-binary=runc", ...worker);
  // A pipe that nobody empties while this process waits for a build would stop the daemon.
  const log = openSync(at("log"), "w");
  const daemon = spawn(program, args, { cwd: directory, stdio: ["ignore", log, log] });
  closeSync(log);
  const call = (cwd: string, ...words: readonly string[]) => {
    const [client = "", ...rest] = command("buildctl", ...words);
    const { status, stdout, stderr } = spawnSync(client, rest, { cwd, maxBuffer: 1 << 28, encoding: "utf8" });
    return { status, output: `${stdout}${stderr}` };
  };
  for (let attempt = 0; call(directory, "debug", "workers").status !== 0; attempt++) {
    const said = () => readFileSync(at("log"), "utf8").trim().split("\n").at(-1);
    if (daemon.exitCode !== null) return `buildkitd ends: ${said()}`;
    if (attempt === 300) {
      await endDaemon(daemon, directory);
      return `buildkitd does not answer: ${said()}`;
    }
    await setTimeout(200);
  }
  const { skopeo } = containerTools(directory);
  const bases: string[] = [];
  return {
    load: (archive, reference) => {
      const name = basename(archive, ".tar");
      skopeo("copy", "--quiet", `docker-archive:${archive}`, `oci:${at(name)}:latest`);
      const { manifests } = JSON.parse(readFileSync(at(`${name}/index.json`), "utf8"));
      const image = `context:${reference.replace(/:latest$/, "")}=oci-layout://${name}@${manifests[0].digest}`;
      bases.push("--oci-layout", `${name}=${at(name)}`, "--opt", image);
    },
    build: (context, reference, ...options) => {
      const output = `type=docker,name=${reference},dest=${at("built.tar")}`;
      const what = ["--local", `context=${context}`, "--opt", "force-network-mode=none", "--output", output];
      const words = ["build", "--progress", "plain", "--frontend", "dockerfile.v0", ...what, ...bases];
      const { status, output: said } = call(context, ...words, ...buildctlOptions(options));
      if (status !== 0) throw new Error(said);
      renameSync(at("built.tar"), at(archiveName(reference)));
      return said;
    },
    save: (reference, file) => {
      renameSync(at(archiveName(reference)), file);
    },
    close: () => endDaemon(daemon, directory),
  };
}

const archiveName = (reference: string) => `${reference.replaceAll(/[/:]/g, "-")}.tar`;

/** Options of `docker build` as buildctl takes them. */
function buildctlOptions(options: readonly string[]): string[] {
  const words: string[] = [];
  const uncached: string[] = [];
  for (let index = 0; index < options.length; index += 2) {
    const [option, value = ""] = options.slice(index, index + 2);
    if (option === "--build-arg") words.push("--opt", `build-arg:${value}`);
    else if (option === "--secret") words.push(option, value);
    else if (option === "--file")
      words.push("--local", `dockerfile=${dirname(value)}`, "--opt", `filename=${basename(value)}`);
    else if (option === "--no-cache-filter") uncached.push(value);
    else throw new Error(`not known to buildctl: ${option}`);
  }
  return uncached.length === 0 ? words : [...words, "--opt", `no-cache=${uncached.join(",")}`];
}
