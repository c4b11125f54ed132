/** What options could do to a user in the hands of someone else, see `Risk`. */
import { isAbsolute, normalize } from "node:path";
import type { RawValue } from "./check.ts";

const OUTSIDE = "writes outside the working directory";

/** Of a path that is written: whoever could name any would replace files elsewhere. */
export function writes(raw: RawValue): string | null {
  return typeof raw === "string" && leavesDirectory(raw) ? OUTSIDE : null;
}

/** Of a place that an image is written to. */
export function writesImage(raw: RawValue): string | null {
  if (typeof raw !== "string") return null;
  const [, path] = /^(?:oci|oci-archive):(.*)$/s.exec(raw) ?? [];
  return path === undefined || leavesDirectory(path) ? OUTSIDE : null;
}

function leavesDirectory(path: string): boolean {
  return isAbsolute(path) || /^\.\.(?:\/|$)/.test(normalize(path));
}
