/** What is shown of a root filesystem while it is read, and of an image while it is copied. */

import type { CopyProgress } from "../../io/oci/remote-images.ts";
import type { ProcessPort } from "../../io/process-port.ts";
import type { ScanStats } from "../../io/scan.ts";
import type { ScanProgress } from "../../seal/ports.ts";
import { formatBytes, formatCount } from "./report.ts";
import type { ProgressStep, Ui } from "./ui.ts";

/** A clock, and where steps are shown. */
interface Shown {
  readonly process: Pick<ProcessPort, "elapsed">;
  readonly ui: Pick<Ui, "step">;
}

/** The scan reports more often than anyone can read. */
const PROGRESS_MS = 100;

/** Starts a step that shows how much of an image has been copied. */
export function startCopy(context: Shown, label: string): CopyProgress {
  return startBytes(context, `copying ${label}`);
}

/** Starts a step that shows how many bytes have been dealt with. */
export function startBytes({ process, ui }: Shown, label: string): CopyProgress {
  const step = ui.step(label);
  const start = process.elapsed();
  const describe = (bytes: number, share: number | null) => {
    const seconds = Math.max(process.elapsed() - start, 1) / 1000;
    return `${formatBytes(bytes)} · ${formatBytes(bytes / seconds)}/s${timeLeft(seconds, share)}`;
  };
  return {
    onBytes: (bytes, share) => step.update(describe(bytes, share ?? null), share ?? null),
    done: (bytes) => step.done(describe(bytes, null)),
  };
}

/** Below that much of the work, and in the first second, the rate says nothing yet. */
const TELLING_SHARE = 0.05;

/** What remains at the rate so far: ` · 12 s left`. @param share of the work that is done; null: not known */
function timeLeft(seconds: number, share: number | null): string {
  if (share === null || share < TELLING_SHARE || share >= 1 || seconds < 1) return "";
  const left = (seconds * (1 - share)) / share;
  return ` · ${left < 120 ? `${Math.ceil(left)} s` : `${Math.round(left / 60)} min`} left`;
}

/**
 * Starts a step that shows how much of a root filesystem has been read.
 * @param label what is done: `reading /target`
 */
export function startScan({ process, ui }: Shown, label: string): ScanProgress {
  const step = ui.step(label);
  const start = process.elapsed();
  let shown = Number.NEGATIVE_INFINITY;
  const describe = ({ files, bytesHashed }: Readonly<ScanStats>, share: number | null) => {
    const seconds = Math.max(process.elapsed() - start, 1) / 1000;
    const rate = `${formatBytes(bytesHashed / seconds)}/s${timeLeft(seconds, share)}`;
    return `${formatCount(files)} files · ${formatBytes(bytesHashed)} · ${rate}`;
  };
  return {
    onProgress: (stats, share) => {
      const now = process.elapsed();
      if (now - shown < PROGRESS_MS) return;
      shown = now;
      step.update(describe(stats, share), share);
    },
    done: (stats) => step.done(describe(stats, null)),
  };
}

/** Several steps share the line of progress: it shows the one that began first, until that has ended. */
export function oneStepAtATime<Shows extends Pick<Ui, "step">>(ui: Shows): Shows {
  const running: ProgressStep[] = [];
  return {
    ...ui,
    step: (label: string): ProgressStep => {
      const step = ui.step(label);
      running.push(step);
      return {
        update: (detail, share) => {
          if (running[0] === step) step.update(detail, share);
        },
        done: (detail) => {
          running.splice(running.indexOf(step), 1);
          step.done(detail);
        },
      };
    },
  };
}
