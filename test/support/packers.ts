/** Compressors of this machine. */
import { spawnSync } from "node:child_process";

/** What a program makes of bytes on its standard input; null: it is not on this machine. */
export function packer(name: string, ...args: string[]): ((bytes: Uint8Array) => Buffer) | null {
  if (spawnSync(name, ["--version"]).error !== undefined) return null;
  return (input) => {
    const { stdout, status, stderr } = spawnSync(name, args, { input, maxBuffer: 1 << 28 });
    if (status !== 0) throw new Error(stderr.toString());
    return stdout;
  };
}
