/** What every verb gets: the process it runs in, and one way to speak to a person. */
import { resolve } from "node:path";
import type { RemoteImages } from "../io/oci/remote-images.ts";
import type { RegistryAccess } from "../io/oci/skopeo.ts";
import type { ProcessPort } from "../io/process-port.ts";
import type { Ui } from "./terminal/ui.ts";

export interface Context {
  readonly process: ProcessPort;
  readonly ui: Ui;
  /** The configuration that the user named; undefined: none. */
  readonly configFile: string | undefined;
  /**
   * Images of registries and stores, the same for all calls; their copies are gone when the verb has ended.
   * @param access what the verb's options say
   */
  readonly remote: (access: RegistryAccess) => RemoteImages;
}

/** An absolute path for one that the user gave, relative to where the command was called. */
export function userPath(context: Context, path: string): string {
  return resolve(context.process.cwd, path);
}

/** Writes a result line to standard output. */
export function printLine(context: Context, text: string): void {
  context.ui.clearProgress();
  context.process.stdout.write(`${text}\n`);
}

/** Writes a result as JSON to standard output, pretty on a terminal. */
export function printJson(context: Context, value: unknown): void {
  printLine(context, JSON.stringify(value, null, context.process.stdout.columns === null ? undefined : 2));
}
