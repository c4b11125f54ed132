/** Temporary directories that vanish with the test. They lie below /tmp, the only place that peers in trees can see. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export function tempDir(): string {
  const path = mkdtempSync(join(tmpdir(), "seal-test-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
