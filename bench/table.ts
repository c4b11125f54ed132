/** Turns measurements into rows of a Markdown table. */
import type { Aim, Benchmark, Result, Run, ShareOfLimit } from "./frame.ts";
import { median } from "./frame.ts";

export interface Row {
  readonly title: string;
  readonly against: string;
  /** What was measured. */
  readonly result: string;
  readonly wall: string;
  readonly cpu: string;
  readonly memory: string;
  readonly aim: string;
}

/** One row for seal alone or a share, or one for each peer. @param results one for each run of the entry */
export function resultRows(benchmark: Benchmark, results: readonly Result[]): Row[] {
  if (benchmark.kind === "share") {
    return [
      shareRow(
        benchmark,
        results.flatMap((result) => (result.kind === "share" ? [result.shares] : [])),
      ),
    ];
  }
  const compared = results.filter((result) => result.kind === "compare");
  const names = compared[0]?.contenders.map(({ name }) => name) ?? [];
  const runsOf = (contender: number) => compared.flatMap(({ runs }) => runs[contender] ?? []);
  const own = runsOf(0);
  const row = (against: string, result: string, peer: readonly Run[] | null, aim: string): Row => ({
    title: benchmark.title,
    against,
    result,
    wall: pair(own, peer, (run) => run.milliseconds, "ms"),
    cpu: pair(own, peer, (run) => run.cpuMilliseconds, "ms"),
    memory: pair(own, peer, (run) => run.peakMebibytes, "MiB"),
    aim,
  });
  if (names.length === 1) return [row("–", "–", null, aimText(benchmark.aim, own, null, null))];
  return names.slice(1).map((name, index) => {
    const ratios = compared.map(({ runs }) =>
      (runs[index + 1] ?? []).map(
        ({ milliseconds }, turn) => milliseconds / (runs[0]?.[turn]?.milliseconds ?? Number.NaN),
      ),
    );
    const ratio = median(ratios.flat());
    const medians = ratios.map(median);
    const spread = `${Math.min(...medians).toFixed(2)}–${Math.max(...medians).toFixed(2)}`;
    const peer = runsOf(index + 1);
    const aim = index === 0 ? aimText(benchmark.aim, own, peer, ratio) : "";
    return row(name, `${ratio.toFixed(2)} times as fast (${spread})`, peer, aim);
  });
}

/** @param shares of each run */
function shareRow(benchmark: ShareOfLimit, shares: readonly (readonly number[])[]): Row {
  const reached = median(shares.flat());
  const medians = shares.map(median);
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
  const { aim } = benchmark;
  return {
    title: benchmark.title,
    against: benchmark.limit,
    result: `${percent(reached)} of it (${percent(Math.min(...medians))}–${percent(Math.max(...medians))})`,
    wall: "–",
    cpu: "–",
    memory: "–",
    aim: aim?.share === undefined ? "" : verdict(`≥ ${percent(aim.share)}`, reached >= aim.share),
  };
}

export function markdownTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [row.title, row.against, row.result, row.wall, row.cpu, row.memory, row.aim]);
  const head = ["what", "against", "seal is", "wall time", "CPU time", "peak memory", "aim"];
  return [head, head.map(() => "---"), ...cells].map((line) => `| ${line.join(" | ")} |`).join("\n");
}

function medianCpu(runs: readonly Run[]): number {
  return median(runs.map(({ cpuMilliseconds }) => cpuMilliseconds));
}

function aimText(aim: Aim | undefined, own: readonly Run[], peer: readonly Run[] | null, ratio: number | null): string {
  if (aim === undefined) return "";
  const parts: string[] = [];
  if (aim.times !== undefined && ratio !== null) parts.push(verdict(`≥ ${aim.times} times`, ratio >= aim.times));
  if (aim.milliseconds !== undefined) {
    parts.push(verdict(`≤ ${aim.milliseconds} ms`, median(own.map((run) => run.milliseconds)) <= aim.milliseconds));
  }
  if (aim.cpu !== undefined && peer !== null) {
    const share = medianCpu(own) / medianCpu(peer);
    parts.push(verdict(`≤ ${aim.cpu} times the CPU time`, share <= aim.cpu, share));
  }
  const peaks = own.map((run) => run.peakMebibytes).filter((peak) => peak !== null);
  if (aim.mebibytes !== undefined && peaks.length > 0) {
    parts.push(verdict(`≤ ${aim.mebibytes} MiB`, Math.max(...peaks) <= aim.mebibytes));
  }
  return parts.join(", ");
}

function verdict(text: string, reached: boolean, figure: number | null = null): string {
  return `${text}: ${reached ? "yes" : "**no**"}${figure === null ? "" : ` (${figure.toFixed(2)})`}`;
}

/** Medians of seal and of the peer. */
function pair(
  own: readonly Run[],
  peer: readonly Run[] | null,
  figure: (run: Run) => number | null,
  unit: string,
): string {
  const text = (runs: readonly Run[]) => {
    const values = runs.map(figure).filter((value) => value !== null);
    return values.length === 0 ? "–" : median(values).toFixed(0);
  };
  return peer === null ? `${text(own)} ${unit}` : `${text(own)} : ${text(peer)} ${unit}`;
}
