/** The option with a revocation level of SBAT, as text or in a file. */
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { parseRevocationLevel, type RevocationLevel } from "../../lint/sbat-level.ts";
import { type Context, userPath } from "../context.ts";
import { text } from "./option.ts";

export const sbatLevelOption = text({
  placeholder: "text|@file",
  problem: "give lines like systemd-boot,2, or @FILE",
  help: "minimum SBAT generations, lines like systemd-boot,2, as published by shim",
});

/** @returns null where none is given. @throws SealError `input` for anything but a level */
export async function readSbatLevel(context: Context, given: string | undefined): Promise<RevocationLevel | null> {
  if (given === undefined) return null;
  if (!given.startsWith("@")) return parseRevocationLevel(given, "--sbat-level");
  const file = given.slice(1);
  return parseRevocationLevel(new TextDecoder().decode(await readInput(userPath(context, file), SMALL_FILE)), file);
}
