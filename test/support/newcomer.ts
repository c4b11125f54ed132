/** Somebody's new Debian 13, in which the commands of a page are typed one after the other. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { z } from "zod";
import { newcomerTree, TUTORIAL_CARGO } from "./peers.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const installsSchema = z.object({ installs: z.record(z.string(), z.unknown()) });

/** A block of commands, and what the page shows of their output. */
export interface Step {
  readonly commands: string;
  readonly shown: readonly string[];
}

/** The `sh` blocks of a page in order, each with the blocks without a language that follow it. */
export function stepsOf(page: string): Step[] {
  const steps: { commands: string; shown: string[] }[] = [];
  for (const [, language, text = ""] of page.matchAll(/^```(\w*)\n(.*?)^```$/gms)) {
    if (language === "sh") steps.push({ commands: text, shown: [] });
    else if (language === "") steps.at(-1)?.shown.push(...text.trimEnd().split("\n"));
  }
  return steps;
}

/** A line as a page shows it: … stands for anything, numbers and digests are of that run. */
export function linePattern(shown: string): RegExp {
  const escaped = shown.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(
    escaped
      .replace(/[0-9a-f]{4}…[0-9a-f]{4}/g, "\0")
      .replace(/\d+(?:(?:\\\.|,)\d+)*/g, "[\\d.,]+")
      .replace(/\s+/g, "\\s+")
      .replaceAll("…", ".*")
      .replaceAll("\0", "[0-9a-f]{4}…[0-9a-f]{4}"),
  );
}

export interface Typed {
  /** Of each step, what the terminal said. */
  readonly output: readonly string[];
  /** Commands that did not end with 0: the code and the command. */
  readonly failed: readonly string[];
}

/** Mounts a copy of the tree that keeps what is written elsewhere, with seal in it, and types. */
const ENTER = `set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/machine"
cd "$2/machine"
for d in dev proc sys; do mount --rbind "/$d" "$d"; done
mkdir -p ".$3" && mount --bind "$3" ".$3"
touch usr/local/bin/node && mount --bind "$4" usr/local/bin/node
exec chroot . /bin/bash -c 'cd ~/tutorial && exec bash ~/type'
`;

/**
 * Types the commands as root in a new directory of a Debian 13 that has the packages of the page, on which what takes
 * long to compile is compiled already.
 * @param directory an existing one, which needs room for all that the page makes
 */
export async function typeAsNewcomer(directory: string, steps: readonly Step[], timeout: number): Promise<Typed> {
  const home = join(directory, "upper/root");
  for (const name of ["work", "machine", "upper/usr/local/bin", "upper/root/tutorial", "upper/root/said"])
    mkdirSync(join(directory, name), { recursive: true });
  // The network is this machine's, with a certificate of a proxy if it has one.
  for (const path of ["/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"]) {
    if (existsSync(path)) cpSync(path, join(directory, "upper", path), { dereference: true });
  }
  const program = `#!/bin/sh\nexec /usr/local/bin/node '${project}dist/cli/main.js' "$@"\n`;
  writeFileSync(join(directory, "upper/usr/local/bin/seal"), program, { mode: 0o755 });
  // Machines that do other work too take their time.
  writeFileSync(join(home, "seal.toml"), '[boot-test]\ntimeout = 600\ncpu = "qemu64"\n');
  placeCompiled(join(home, ".cargo"));
  const typed = steps.map(({ commands }, index) => `exec >~/said/${index} 2>&1\n${commands}`).join("");
  const record = `trap 'echo "$? $BASH_COMMAND" >>~/failed' ERR\n`;
  writeFileSync(join(home, "type"), record + typed);
  writeFileSync(join(home, "failed"), "");
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(?:SEAL_|NODE_|RUST|TMPDIR$|CARGO_(?:HOME|INSTALL_ROOT|TARGET_DIR)$)/.test(name),
  );
  const args = [
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    ENTER,
    "enter",
    newcomerTree() ?? "",
    directory,
    project,
    process.execPath,
  ];
  await execa("unshare", args, {
    env: {
      ...Object.fromEntries(inherited),
      HOME: "/root",
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      SEAL_CONFIG: "/root/seal.toml",
    },
    extendEnv: false,
    stdin: "ignore",
    timeout,
    reject: false,
  });
  const said = new Set(readdirSync(join(home, "said")));
  const read = (index: number) => (said.has(`${index}`) ? readFileSync(join(home, `said/${index}`), "utf8") : "");
  return {
    output: steps.map((_, index) => read(index)),
    failed: readFileSync(join(home, "failed"), "utf8").split("\n").filter(Boolean),
  };
}

/** Puts the compiled programs to where `cargo install` would, with its notes of what is installed. */
function placeCompiled(cargo: string): void {
  for (const root of TUTORIAL_CARGO) cpSync(join(root, "bin"), join(cargo, "bin"), { recursive: true });
  const installs = TUTORIAL_CARGO.map((root) => {
    const notes: unknown = JSON.parse(readFileSync(join(root, ".crates2.json"), "utf8"));
    return installsSchema.parse(notes).installs;
  });
  writeFileSync(join(cargo, ".crates2.json"), JSON.stringify({ installs: Object.assign({}, ...installs) }));
  const lists = TUTORIAL_CARGO.map((root) => readFileSync(join(root, ".crates.toml"), "utf8").replace("[v1]\n", ""));
  writeFileSync(join(cargo, ".crates.toml"), `[v1]\n${lists.join("")}`);
}
