/** Access to the golden data in `test/vectors`. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** Bytes of a vector file; `.gz` files are unpacked. */
export function vector(path: string): Buffer {
  const bytes = readFileSync(new URL(`../vectors/${path}`, import.meta.url));
  return path.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

export function vectorJson<T>(path: string): T {
  return JSON.parse(vector(path).toString("utf8")) as T;
}
