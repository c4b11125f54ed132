/** Whiteouts of overlayfs in trees, which older tools treat in ways of their own. */

import { allEntries } from "../../src/tree/links.ts";
import type { Directory } from "../../src/tree/node.ts";

/** Whether mkcomposefs would raise V0 to V1, which marks directories of whiteouts, when both are allowed. */
export function hasWhiteouts(root: Directory): boolean {
  return Array.from(allEntries(root)).some(({ node }) => node.kind === "char" && node.rdev === 0);
}
