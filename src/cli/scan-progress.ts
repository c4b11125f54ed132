/** What is shown of a root filesystem while it is read, and of an image while it is copied. */
import type { CopyProgress } from "../io/remote-images.ts";
import type { ScanStats } from "../io/scan.ts";
import type { Context } from "./context.ts";
import { formatBytes, formatCount } from "./report.ts";

/** The scan reports more often than anybody can read. */
const PROGRESS_MS = 100;

export interface ScanProgress {
  /** For `ScanOptions`. */
  readonly onProgress: (stats: ScanStats) => void;
  /** Ends the step, with what was read in all. */
  readonly done: (stats: Readonly<ScanStats>) => void;
}

/** Starts a step that shows how much of an image has been copied. */
export function startCopy(context: Pick<Context, "host" | "ui">, label: string): CopyProgress {
  return startBytes(context, `copying ${label}`);
}

/** Starts a step that shows how many bytes have been dealt with. */
export function startBytes({ host, ui }: Pick<Context, "host" | "ui">, label: string): CopyProgress {
  const step = ui.step(label);
  const start = host.elapsed();
  const describe = (bytes: number) => {
    const seconds = Math.max(host.elapsed() - start, 1) / 1000;
    return `${formatBytes(bytes)} · ${formatBytes(bytes / seconds)}/s`;
  };
  return { onBytes: (bytes) => step.update(describe(bytes)), done: (bytes) => step.done(describe(bytes)) };
}

/** Starts a step that shows how much of a root filesystem has been read. @param label what is done: `reading /target` */
export function startScan({ host, ui }: Context, label: string): ScanProgress {
  const step = ui.step(label);
  const start = host.elapsed();
  let shown = Number.NEGATIVE_INFINITY;
  const describe = ({ files, bytesHashed }: Readonly<ScanStats>) => {
    const seconds = Math.max(host.elapsed() - start, 1) / 1000;
    return `${formatCount(files)} files · ${formatBytes(bytesHashed)} · ${formatBytes(bytesHashed / seconds)}/s`;
  };
  return {
    onProgress: (stats) => {
      const now = host.elapsed();
      if (now - shown < PROGRESS_MS) return;
      shown = now;
      step.update(describe(stats));
    },
    done: (stats) => step.done(describe(stats)),
  };
}
