/** The golden UKI cases: which of them seal builds today, and which not and why. */
import { fileURLToPath } from "node:url";
import { vector, vectorJson } from "./vectors.ts";

export interface UkiCase {
  readonly case: string;
  readonly ukify: string;
  readonly args: readonly string[];
  readonly rc: number;
  readonly error?: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly output?: string;
  readonly sections?: readonly { name: string; vaddr: number; vsize: number; rawsize: number; sha256: string }[];
}

/** The working directory of all cases. */
export const UKI_INPUTS = fileURLToPath(new URL("../vectors/uki/inputs", import.meta.url));

export const UKI_CASES = vectorJson<{ cases: UkiCase[] }>("uki/cases.json").cases;

/** Options of later versions of seal, and what they make. */
const LATER: Readonly<Record<string, string>> = {
  "--join-profile": "joined profiles",
  "--devicetree-auto": ".dtbauto",
  "--hwids": ".hwids",
  "--measure": "PCR predictions",
  "--policy-digest": "PCR policies",
  "--pcr-private-key": "PCR signatures",
};

/** Why a case can't be run, or null. `--hwids ""` asks for what seal does anyway. */
export function notYet(golden: UkiCase): string | null {
  for (const [index, argument] of golden.args.entries()) {
    const reason = LATER[argument];
    if (reason !== undefined && !(argument === "--hwids" && golden.args[index + 1] === "")) return reason;
  }
  return null;
}

/** The arguments of ukify for seal: without `--hwids ""`, which asks for no `.hwids`. */
export function sealArguments(ukifyArguments: readonly string[]): string[] {
  const args = [...ukifyArguments];
  const hwids = args.indexOf("--hwids");
  if (hwids !== -1) args.splice(hwids, 2);
  return args;
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
