/** `npm run bench`: runs the benchmarks and writes docs/benchmarks.md. See README.md beside this file. */
import { readdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { missing } from "../test/support/peers.ts";
import { type Benchmark, inTurns, type Result, withDirectory } from "./frame.ts";
import { markdownTable, resultRows } from "./table.ts";

const { values: options } = parseArgs({
  options: {
    full: { type: "boolean" },
    only: { type: "string" },
    "no-write": { type: "boolean" },
    runs: { type: "string", default: "3" },
  },
});

const skipped: string[] = [];
const chosen: { readonly benchmark: Benchmark; readonly results: Result[] }[] = [];
for (const benchmark of await load()) {
  if (!benchmark.title.includes(options.only ?? "")) continue;
  const lacking = missing(benchmark.needs);
  if (lacking.length > 0) skipped.push(`${benchmark.title}: needs ${lacking.join(", ")}`);
  else if (benchmark.full === true && options.full !== true) skipped.push(`${benchmark.title}: only with --full`);
  else chosen.push({ benchmark, results: [] });
}
// Run after run, not entry after entry: what else the machine does for some minutes shows in one run only.
for (let run = 1; run <= Number(options.runs); run++) {
  for (const { benchmark, results } of chosen) {
    process.stderr.write(`run ${run}: ${benchmark.title} …\n`);
    results.push(await runOne(benchmark));
  }
}
const text = page();
process.stdout.write(text);
if (options["no-write"] !== true) writeFileSync(new URL("../docs/benchmarks.md", import.meta.url), text);

async function load(): Promise<Benchmark[]> {
  const files = readdirSync(new URL(".", import.meta.url)).filter((name) => name.endsWith(".bench.ts"));
  const modules = await Promise.all(
    files.sort().map((name) => import(`./${name}`) as Promise<{ benchmarks: readonly Benchmark[] }>),
  );
  return modules.flatMap((module) => module.benchmarks);
}

function runOne(benchmark: Benchmark): Promise<Result> {
  return withDirectory(async (directory): Promise<Result> => {
    switch (benchmark.kind) {
      case "compare": {
        const contenders = await benchmark.prepare(directory);
        return { kind: "compare", contenders, runs: inTurns(contenders, benchmark.rounds) };
      }
      case "share": {
        const shares: number[] = [];
        for (let round = 0; round < benchmark.rounds; round++) {
          const { reached, limit } = benchmark.measure(directory);
          shares.push(reached / limit);
        }
        return { kind: "share", shares };
      }
    }
  });
}

function page(): string {
  const machine = [
    `${availableParallelism()} cores of ${cpus()[0]?.model ?? "an unknown processor"}`,
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory`,
    `Linux ${release()}`,
    `Node ${process.versions.node} with OpenSSL ${process.versions.openssl}`,
  ];
  const notes = skipped.length === 0 ? "" : `\nNot run: ${skipped.join("; ")}.\n`;
  return `# Benchmarks

Written by \`npm run bench\` (see [bench/README.md](../bench/README.md)). Machine: ${machine.join(", ")}; files in the page cache.

Commands run in turns, all entries ${options.runs} times over. "Times as fast" is the median of the ratios of wall times of all turns, with the smallest
and the largest median of a run in brackets; the other figures are medians of all turns, seal's first, the peer's second.

${markdownTable(chosen.flatMap(({ benchmark, results }) => resultRows(benchmark, results)))}
${notes}`;
}
