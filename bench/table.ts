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
  /** What the floor reaches. */
  readonly floor: string;
  readonly aim: string;
}

/** How many times as fast one program is as another. */
interface Speed {
  /** The median of all turns. */
  readonly times: number;
  /** The smallest and the largest median of a run of the entry. */
  readonly least: number;
  readonly most: number;
}

/** A program beside seal: the peer, or a floor beside that peer. */
interface Measured {
  readonly runs: readonly Run[];
  /** Of seal beside the peer, or of the floor beside the peer. */
  readonly speed: Speed;
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
  const contenders = [...(compared[0]?.contenders ?? []).entries()];
  const peers = contenders.filter(([index, { role }]) => index > 0 && role === undefined);
  const floorIndex = contenders.find(([, { role }]) => role === "floor")?.[0] ?? null;
  const runsOf = (contender: number) => compared.flatMap(({ runs }) => runs[contender] ?? []);
  const speedOf = (contender: number, peer: number) =>
    speed(compared.map(({ runs }) => ratios(runs[contender] ?? [], runs[peer] ?? [])));
  const own = runsOf(0);
  const row = (against: string, result: string, peer: readonly Run[] | null, floor: string, aim: string): Row => ({
    title: benchmark.title,
    against,
    result,
    wall: pair(own, peer, (run) => run.milliseconds, "ms"),
    cpu: pair(own, peer, (run) => run.cpuMilliseconds, "ms"),
    memory: pair(own, peer, (run) => run.peakMebibytes, "MiB"),
    floor,
    aim,
  });
  if (peers.length === 0) return [row("–", "–", null, "", aimText(benchmark.aim, own, null, null))];
  return peers.map(([index, { name }], position) => {
    const peer: Measured = { runs: runsOf(index), speed: speedOf(0, index) };
    const result = speedText(peer.speed);
    if (position > 0) return row(name, result, peer.runs, "", "");
    const floor = floorIndex === null ? null : { runs: runsOf(floorIndex), speed: speedOf(floorIndex, index) };
    return row(name, result, peer.runs, floorText(floor, peer), aimText(benchmark.aim, own, peer, floor));
  });
}

/** How many times as fast as the peer, turn by turn. */
function ratios(runs: readonly Run[], peer: readonly Run[]): number[] {
  return peer.map(({ milliseconds }, turn) => milliseconds / (runs[turn]?.milliseconds ?? Number.NaN));
}

/** @param runs the ratios of the turns of each run of the entry */
function speed(runs: readonly (readonly number[])[]): Speed {
  const medians = runs.map(median);
  return { times: median(runs.flat()), least: Math.min(...medians), most: Math.max(...medians) };
}

function speedText({ times, least, most }: Speed): string {
  return `${times.toFixed(2)} times as fast (${least.toFixed(2)}–${most.toFixed(2)})`;
}

function floorText(floor: Measured | null, peer: Measured): string {
  if (floor === null) return "";
  return `${speedText(floor.speed)}, ${cpuShare(floor.runs, peer.runs).toFixed(2)} times the CPU time`;
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
    floor: "",
    aim: aim?.share === undefined ? "" : verdict(`≥ ${percent(aim.share)}`, reached >= aim.share),
  };
}

export function markdownTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.title,
    row.against,
    row.result,
    row.wall,
    row.cpu,
    row.memory,
    row.floor,
    row.aim,
  ]);
  const head = ["what", "against", "seal is", "wall time", "CPU time", "peak memory", "least possible on Node", "aim"];
  return [head, head.map(() => "---"), ...cells].map((line) => `| ${line.join(" | ")} |`).join("\n");
}

/** Median CPU time as so many times that of the peer. */
function cpuShare(runs: readonly Run[], peer: readonly Run[]): number {
  const cpu = (of: readonly Run[]) => median(of.map(({ cpuMilliseconds }) => cpuMilliseconds));
  return cpu(runs) / cpu(peer);
}

function aimText(aim: Aim | undefined, own: readonly Run[], peer: Measured | null, floor: Measured | null): string {
  if (aim === undefined) return "";
  const parts: string[] = [];
  if (aim.times !== undefined && peer !== null) {
    const isBeyond = floor !== null && floor.speed.most < aim.times;
    parts.push(verdict(`≥ ${aim.times} times`, peer.speed.times >= aim.times, { isBeyond }));
  }
  if (aim.milliseconds !== undefined) {
    parts.push(verdict(`≤ ${aim.milliseconds} ms`, median(own.map((run) => run.milliseconds)) <= aim.milliseconds));
  }
  if (aim.cpu !== undefined && peer !== null) {
    const share = cpuShare(own, peer.runs);
    const isBeyond = floor !== null && cpuShare(floor.runs, peer.runs) > aim.cpu;
    parts.push(verdict(`≤ ${aim.cpu} times the CPU time`, share <= aim.cpu, { figure: share, isBeyond }));
  }
  const peaks = own.map((run) => run.peakMebibytes).filter((peak) => peak !== null);
  if (aim.mebibytes !== undefined && peaks.length > 0) {
    parts.push(verdict(`≤ ${aim.mebibytes} MiB`, Math.max(...peaks) <= aim.mebibytes));
  }
  return parts.join(", ");
}

/** @param isBeyond whether not even the floor reaches it */
function verdict(
  text: string,
  reached: boolean,
  { figure, isBeyond = false }: { readonly figure?: number; readonly isBeyond?: boolean } = {},
): string {
  const details = [
    ...(figure === undefined ? [] : [figure.toFixed(2)]),
    ...(!reached && isBeyond ? ["beyond the floor"] : []),
  ];
  return `${text}: ${reached ? "yes" : "**no**"}${details.length === 0 ? "" : ` (${details.join(", ")})`}`;
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
