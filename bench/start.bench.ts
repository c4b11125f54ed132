/** How long verbs take to start: their help page, and a mistake that is found at once. */
import { EXIT_CODES } from "../src/errors.ts";
import { type Benchmark, type Contender, sealCommand } from "./frame.ts";

const EMPTY: Contender = { name: "`node -e 0`", command: [process.execPath, "-e", "0"] };

function start(what: string, args: readonly string[], status = 0): Benchmark {
  return {
    kind: "compare",
    title: `start-up (${what})`,
    needs: [],
    rounds: 5,
    aim: { cpu: 1.6 },
    prepare: (directory) => [{ name: "seal", cwd: directory, command: sealCommand(...args), status }, EMPTY],
  };
}

export const benchmarks: readonly Benchmark[] = [
  start("`seal --version`", ["--version"]),
  ...["rootfs", "sign", "lint"].map((verb) => start(`\`seal ${verb} --help\``, [verb, "--help"])),
  ...[
    ["compute-digest", "missing"],
    ["verify", "missing", "--cert", "missing"],
    ["build-uki", "--linux", "missing", "--output", "x"],
    ["lint", "missing"],
  ].map((args) => start(`\`seal ${args[0]}\` of a file that is missing`, args, EXIT_CODES.input)),
];
