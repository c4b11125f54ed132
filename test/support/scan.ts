import { type ScanOptions, type ScanStats, scanAndFinish } from "../../src/io/scan.ts";
import type { Directory } from "../../src/tree/node.ts";

/** The tree below a directory, with nothing done meanwhile. */
export async function scanDirectory(
  path: string,
  options: ScanOptions,
): Promise<{ readonly root: Directory; readonly stats: Readonly<ScanStats> }> {
  return scanAndFinish(path, options, { prepare: async () => null, finish: async () => null });
}
