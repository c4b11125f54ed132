/** The golden UKI cases. */
import { fileURLToPath } from "node:url";
import { vector, vectorJson } from "./vectors.ts";

export interface UkiCase {
  readonly case: string;
  readonly ukify: string;
  readonly args: readonly string[];
  readonly rc: number;
  readonly stdout?: string;
  readonly error?: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly output?: string;
  readonly sections?: readonly { name: string; vaddr: number; vsize: number; rawsize: number; sha256: string }[];
}

/** The working directory of all cases. */
export const UKI_INPUTS = fileURLToPath(new URL("../vectors/uki/inputs", import.meta.url));

export const UKI_CASES = vectorJson<{ cases: UkiCase[] }>("uki/cases.json").cases;

/** Inputs that are not among the vectors: addon stubs are systemd's. The live peers make them. */
export function needsProfiles(golden: UkiCase): boolean {
  return golden.args.includes("--join-profile");
}

/** The stub's file name in a case. */
export function stubOf(golden: UkiCase): string {
  return golden.args[golden.args.indexOf("--stub") + 1] ?? "";
}

/** The file that ukify wrote. */
export function goldenOutput(golden: UkiCase): Buffer {
  if (golden.output === undefined) throw new Error(`${golden.case} has no output`);
  return vector(`uki/${golden.output}`);
}
