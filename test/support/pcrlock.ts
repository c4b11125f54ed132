/**
 * systemd-pcrlock on machines that are not there: their variables are files, their TPM is swtpm with what their
 * event log says extended.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "../../src/bytes.ts";
import { parseEventLog } from "../../src/pe/event-log.ts";
import { namedVariable, type OtherVariable } from "../../src/sign/authvar.ts";
import { decodeGuid } from "../../src/sign/guid.ts";
import { findPeer, inTree, type Peer, type PeerResult, peerTree } from "./peers.ts";
import { until } from "./wait.ts";

export const PCRLOCKS = ["systemd-pcrlock", "systemd-pcrlock-262"] as const;
export type Pcrlock = (typeof PCRLOCKS)[number];
/** What {@link startMachine} needs. */
export const MACHINE_NEEDS = [...PCRLOCKS, "swtpm", "trees", "root"] as const satisfies readonly (
  | Peer
  | "trees"
  | "root"
)[];

export interface Machine {
  /** Runs one on it. What systemd brings is below {@link SYSTEMD_COMPONENTS}. */
  run(pcrlock: Pcrlock, ...args: readonly string[]): PeerResult;
  stop(): void;
}

export const SYSTEMD_COMPONENTS = "/usr/lib/pcrlock.d";

/** @param directory a new one below /tmp @param variables those that exist */
export async function startMachine(
  directory: string,
  variables: readonly { readonly id: OtherVariable; readonly value: Uint8Array }[],
  log: Uint8Array,
): Promise<Machine> {
  const [efivars, tpm, logFile] = ["efivars", "tpm", "log"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [directory, efivars, tpm]) mkdirSync(path);
  writeFileSync(logFile, log);
  for (const { id, value } of variables) {
    // Attributes come first.
    writeFileSync(join(efivars, `${id.name}-${id.vendor}`), Buffer.concat([Buffer.of(0x27, 0, 0, 0), value]));
  }
  const socket = join(tpm, "socket");
  // Clients look for the control channel under this name.
  const control = `${socket}.ctrl`;
  const channels = ["--server", `type=unixio,path=${socket}`, "--ctrl", `type=unixio,path=${control}`];
  const flags = ["--flags", "startup-clear,not-need-init"];
  // It says something for each command, and waits until somebody reads that.
  const swtpm = spawn(
    findPeer("swtpm") ?? "swtpm",
    ["socket", "--tpm2", "--tpmstate", `dir=${tpm}`, ...channels, ...flags],
    { stdio: "ignore" },
  );
  if (!(await until("swtpm listens", () => existsSync(socket) && existsSync(control), swtpm)))
    throw new Error("swtpm has ended");
  const device = `swtpm:path=${socket}`;
  const extended = parseEventLog(log, "log")
    .filter(({ type }) => type !== "EV_NO_ACTION")
    .map(({ pcr, digests }) => `${pcr}:${Object.entries(digests).map(([bank, digest]) => `${bank}=${toHex(digest)}`)}`);
  const [unshare = "", ...enter] = inTree(peerTree("trixie"));
  const extend = spawnSync(unshare, [...enter, "tpm2_pcrextend", "-T", device, ...extended], { encoding: "utf8" });
  if (extend.status !== 0) throw new Error(extend.stderr);
  const mount =
    'mount -t tmpfs tmpfs /sys && mkdir -p /sys/firmware/efi && cp -r "$0" /sys/firmware/efi/efivars && exec "$@"';
  // In containers systemd sees no firmware. Only of process 1 it takes the word that there is none: an empty variable.
  const alone = ["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const noContainer = { container: "", SYSTEMD_LOG_TARGET: "console" };
  return {
    run: (pcrlock, ...args) => {
      const command = ["sh", "-c", mount, efivars, findPeer(pcrlock) ?? pcrlock, "--no-pager", ...args];
      const { status, stdout, stderr } = spawnSync("unshare", [...alone, ...command], {
        timeout: 20_000,
        env: {
          ...process.env,
          ...noContainer,
          SYSTEMD_TPM2_DEVICE: device,
          SYSTEMD_MEASURE_LOG_FIRMWARE: logFile,
          SYSTEMD_MEASURE_LOG_USERSPACE: "/dev/null",
        },
      });
      return { status: status ?? 128, stdout, stderr: stderr.toString() };
    },
    stop: () => swtpm.kill(),
  };
}

/** The variables that a log says were measured into PCR 7, of those that exist. */
export function loggedVariables(log: Uint8Array): { id: OtherVariable; value: Uint8Array }[] {
  const events = parseEventLog(log, "log").filter(({ type }) => type === "EV_EFI_VARIABLE_DRIVER_CONFIG");
  return events.flatMap(({ data }) => {
    // UEFI_VARIABLE_DATA: vendor, lengths of name and value, name, value.
    const view = Buffer.from(data);
    const valueAt = 32 + 2 * Number(view.readBigUInt64LE(16));
    const value = data.subarray(valueAt, valueAt + Number(view.readBigUInt64LE(24)));
    const id = { name: view.toString("utf16le", 32, valueAt), vendor: decodeGuid(data.subarray(0, 16)) };
    return value.length === 0 ? [] : [{ id, value }];
  });
}

/** The variable that the firmware makes of whether it enforces signatures. */
export const secureBootVariable = (enforced: boolean) => ({
  id: { name: "SecureBoot", vendor: namedVariable("PK").vendor },
  value: Uint8Array.of(enforced ? 1 : 0),
});
