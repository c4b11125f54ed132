/** What the use cases need of the world around them, besides the values that they are given. */
import type { LayerCache } from "../io/oci/layer-cache.ts";
import type { CopyProgress, RemoteImages } from "../io/oci/remote-images.ts";
import type { ProgressListener, ScanStats } from "../io/scan.ts";

/** Shows one step of reading a root filesystem. */
export interface ScanProgress {
  readonly onProgress: ProgressListener;
  /** Ends the step. @param stats what was read in all */
  readonly done: (stats: Readonly<ScanStats>) => void;
}

/** Shows how far long steps are. */
export interface Progress {
  /** Begins to read a root filesystem. @param step what is done: `reading /target` */
  readonly scan: (step: string) => ScanProgress;
  /** Begins to copy or write bytes. */
  readonly copy: (step: string) => CopyProgress;
}

/** The world as a use case sees it. */
export interface Ports {
  /** Where relative paths start. Absolute. */
  readonly cwd: string;
  /** Fetches images of registries and stores; without, they are refused. */
  readonly remote?: RemoteImages | undefined;
  /** What layers are known to hold; without, all are read. */
  readonly cache?: LayerCache | undefined;
  /** Receives warnings, one line each. */
  readonly warn: (line: string) => void;
  readonly progress: Progress;
}

/** Ports of a program that shows nothing: no progress, and no warnings beyond those in results. */
export const QUIET: Omit<Ports, "cwd"> = {
  warn: () => {},
  progress: {
    scan: () => ({ onProgress: () => {}, done: () => {} }),
    copy: () => ({ onBytes: () => {}, done: () => {} }),
  },
};
