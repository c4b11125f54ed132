/**
 * A machine that is started again and again: its firmware keeps its variables, so that each start goes on
 * where the last one ended.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BOOT_START, type BootState, watchBoot } from "../../src/boot/console/stages.ts";
import { runMachine } from "../../src/io/vm/qemu.ts";
import { knownGuid } from "../../src/sign/guid.ts";
import { parseVariableStore, writeVariableStore } from "../../src/sign/ovmf.ts";
import { findPeer } from "./peers.ts";

export interface KeptMachine {
  /** Where its firmware lies. */
  readonly cwd: string;
  /** Its variable store. */
  readonly vars: string;
  /** What it writes to that is thrown away. */
  readonly disk: string;
  readonly seconds: number;
  readonly env: Readonly<Record<string, string>>;
}

export interface Started {
  /** What the serial console said. */
  readonly text: string;
  readonly state: BootState;
}

/**
 * Starts it, with resets, until it can't come any further or a text was seen.
 * @param more arguments for the kernel
 */
export async function startMachine(machine: KeptMachine, until: string, more = ""): Promise<Started> {
  const watch = watchBoot(until, "EFI/BOOT/BOOTX64.EFI");
  let text = "";
  let state = BOOT_START;
  await runMachine(
    {
      arch: "x64",
      qemu: findPeer("qemu-system-x86_64") ?? "",
      accelerator: "tcg",
      cpu: "qemu64",
      memoryMiB: 768,
      firmwareCode: join(machine.cwd, "OVMF_CODE_4M.secboot.fd"),
      vars: machine.vars,
      disk: machine.disk,
      kernelArguments: `console=ttyS0 ${more}`,
      credentials: new Map(),
      mayReset: true,
      tpm: null,
    },
    {
      timeoutSeconds: machine.seconds,
      env: machine.env,
      cwd: machine.cwd,
      onSerial: (bytes) => {
        text += Buffer.from(bytes).toString("latin1").replaceAll("\r", "");
        state = watch.push(bytes);
        return state.stop !== null || state.seen.includes("expected") ? "nothing" : "more";
      },
    },
  );
  return { text, state };
}

/** Has systemd-boot start an entry next time, as `bootctl set-oneshot` does. */
export function chooseNext({ vars }: KeptMachine, entry: string): void {
  const store = parseVariableStore(readFileSync(vars), vars);
  const oneShot = {
    name: "LoaderEntryOneShot",
    vendor: knownGuid("4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"),
    // NON_VOLATILE | BOOTSERVICE_ACCESS | RUNTIME_ACCESS
    attributes: 7,
    time: new Uint8Array(16),
    monotonicCount: 0n,
    publicKeyIndex: 0,
    value: Buffer.from(`${entry}\0`, "utf16le"),
  };
  writeFileSync(vars, writeVariableStore(store, [...store.variables, oneShot]));
}
