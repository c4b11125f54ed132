/** What the use cases need from their environment, apart from their arguments. */
import type { LayerCache } from "../io/oci/layer-cache.ts";
import type { CopyProgress, RemoteImages } from "../io/oci/remote-images.ts";
import type { ProgressListener, ScanStats } from "../io/scan.ts";

/** Shows one step of reading a root filesystem. */
export interface ScanProgress {
  readonly onProgress: ProgressListener;
  /** Ends the step. @param stats what was read in all */
  readonly done: (stats: Readonly<ScanStats>) => void;
}

/** Shows the progress of long steps. */
export interface Progress {
  /** Begins to read a root filesystem. @param step what is done: `reading /target` */
  readonly scan: (step: string) => ScanProgress;
  /** Begins to copy or write bytes. */
  readonly copy: (step: string) => CopyProgress;
}

/** The environment of a use case. */
export interface Ports {
  /** The directory for relative paths. Absolute. */
  readonly cwd: string;
  /** Fetches images from registries and stores; absent: they are refused. */
  readonly remote?: RemoteImages | undefined;
  /** Known contents of layers; absent: all are read. */
  readonly cache?: LayerCache | undefined;
  /** Receives warnings, one line each. */
  readonly warn: (line: string) => void;
  readonly progress: Progress;
}

/** Ports of a program that shows nothing: neither progress nor warnings, apart from those in results. */
export const QUIET: Omit<Ports, "cwd"> = {
  warn: () => {},
  progress: {
    scan: () => ({ onProgress: () => {}, done: () => {} }),
    copy: () => ({ onBytes: () => {}, done: () => {} }),
  },
};
