/** The command line's ports: use cases read where the command was called, and speak through its terminal. */
import type { Ports } from "../seal/ports.ts";
import type { Context } from "./context.ts";
import { type CacheOptions, openCache } from "./options/cache.ts";
import type { RegistryOptions } from "./options/registry.ts";
import { startBytes, startScan } from "./terminal/progress.ts";

export function portsOf(context: Context, options: RegistryOptions & CacheOptions): Ports {
  const { process, ui, remote } = context;
  return {
    cwd: process.cwd,
    remote: remote(options),
    cache: openCache(context, options),
    warn: (line) => ui.warn(line),
    progress: { scan: (step) => startScan(context, step), copy: (step) => startBytes(context, step) },
  };
}
