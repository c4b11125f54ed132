/** Which bootc releases take an image, step by step. */
import type { HostReport } from "../../boot/hosts-text.ts";
import { type Html, html } from "./markup.ts";
import { list, markOf, sign, table } from "./parts.ts";

const STEPS = ["accepts", "installs", "boots", "enforces"] as const;

/** A row for releases with the same verdict, a column a step, with its reasons. */
export function hostsTable(hosts: readonly HostReport[]): Html {
  const rows = joined(hosts, verdictOf).map(({ releases, host }) => [
    `bootc ${releases}`,
    ...STEPS.map((step) => {
      const { ok, reasons } = host[step];
      return html`${sign(markOf(ok))}${reasons.length === 0 ? null : list(reasons)}`;
    }),
    host.option === null ? null : html`seal with <code>${host.option}</code>`,
  ]);
  return table(
    "Hosts that accept and refuse",
    ["Host", "Accepts it", "Installs it", "Boots it", "Enforces fs-verity", "Way out"],
    rows,
  );
}

/** Which lines take it, in words. */
export function hostsText(hosts: readonly HostReport[]): string {
  const taking = joined(hosts, isTaken).filter(({ host }) => isTaken(host));
  return taking.length === 0
    ? "accepted by no bootc release"
    : `accepted by bootc ${taking.map(({ releases }) => releases).join(", ")}`;
}

/** Whether a line of releases takes an image, whatever protects it afterwards. */
export function isTaken({ accepts, installs, boots }: HostReport): boolean {
  return accepts.ok === true && installs.ok === true && boots.ok === true;
}

/** Neighbours that are alike, in the order of the releases. */
function joined(
  hosts: readonly HostReport[],
  key: (host: HostReport) => string | boolean,
): { readonly releases: string; readonly host: HostReport }[] {
  const runs: HostReport[][] = [];
  for (const host of hosts) {
    const run = runs.at(-1);
    if (run?.[0] !== undefined && key(run[0]) === key(host)) run.push(host);
    else runs.push([host]);
  }
  return runs.flatMap((run) => {
    const [host] = run;
    if (host === undefined) return [];
    const ends = [host.releases.split("–")[0], run.at(-1)?.releases.split("–").at(-1)];
    return [{ releases: [...new Set(ends)].join("–"), host }];
  });
}

function verdictOf(host: HostReport): string {
  return JSON.stringify([...STEPS.map((step) => host[step]), host.option]);
}
