/** Floors: what they are is said in README.md beside this file. */
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { KOFFI_DEFINITIONS, nativeKoffi } from "../scripts/native-koffi.ts";
import type { Contender } from "./frame.ts";

/** From there they find koffi, as the built program does. */
const BUILT = new URL("../node_modules/.cache/seal-floors/", import.meta.url);

/**
 * A floor that is ready to run: one file of JavaScript with its own way to koffi, as the built program has it, so that
 * it starts no more slowly.
 * @param program of `bench/floors`, without `.ts`
 */
export async function floor(program: string, ...args: readonly string[]): Promise<Contender> {
  const file = fileURLToPath(new URL(`${program}.cjs`, BUILT));
  const bundle = await rolldown({
    input: fileURLToPath(new URL(`floors/${program}.ts`, import.meta.url)),
    platform: "node",
    transform: { define: KOFFI_DEFINITIONS },
    plugins: [nativeKoffi()],
  });
  try {
    await bundle.write({ file, format: "cjs", codeSplitting: false });
  } finally {
    await bundle.close();
  }
  return { role: "floor", name: `bench/floors/${program}.ts`, command: [process.execPath, file, ...args] };
}
