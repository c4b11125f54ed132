/** Logs of a machine with a small `/boot`, changed in one place, and what seal says of them. */
import { rmSync } from "node:fs";
import { afterAll, beforeAll } from "vitest";
import { parseEventLog } from "../../src/pe/event-log.ts";
import type { PcrBank } from "../../src/pe/pcr-events.ts";
import { treeBootPaths } from "../../src/seal/boot-path.ts";
import { checkLog, type LogCheck } from "../../src/seal/check-log.ts";
import { VARIABLE_VENDORS } from "../../src/sign/authvar.ts";
import type { BootPath } from "../../src/sign/boot-reference.ts";
import { readPolicy, type SecureBootPolicy } from "../../src/sign/secure-boot-policy.ts";
import type { EventToLog, LogBank } from "./event-log.ts";
import { LOG_BANKS, type LogLab, logBytes, makeLogLab, utf16 } from "./machine-log.ts";

/** What the log is compared with, where it is not the lab's own. */
export interface Given {
  readonly chains?: readonly BootPath[];
  readonly policy?: SecureBootPolicy;
  readonly kernelArguments?: string;
  readonly banks?: readonly PcrBank[];
  /** Of the log. */
  readonly written?: readonly LogBank[];
}

export interface CheckLab extends LogLab {
  readonly chains: readonly BootPath[];
  readonly policy: SecureBootPolicy;
  check(events: readonly EventToLog[], given?: Given): LogCheck;
  /** The log with others in the place of the first event that is meant. */
  replaced(find: (event: EventToLog, index: number) => boolean, ...others: readonly EventToLog[]): EventToLog[];
  /** The log with more before its end. */
  atEnd(...others: readonly EventToLog[]): EventToLog[];
}

/** Makes a lab for the tests of a file. @returns what gives it once they run */
export function useCheckLab(): () => CheckLab {
  let lab: CheckLab | null = null;
  beforeAll(async () => {
    const made = await makeLogLab();
    lab = { ...made, ...checks(made), chains: await treeBootPaths("boot", made), policy: policyOf(made) };
  }, 60_000);
  afterAll(() => {
    if (lab !== null) rmSync(lab.cwd, { recursive: true, force: true });
  });
  const opened = () => {
    if (lab === null) throw new Error("no lab outside of tests");
    return lab;
  };
  const checks = ({ events }: LogLab): Pick<CheckLab, "check" | "replaced" | "atEnd"> => ({
    check: (given, { written = LOG_BANKS, ...options } = {}) => {
      const { chains, policy, banks, kernelArguments = "" } = { ...opened(), ...options, banks: options.banks };
      const log = parseEventLog(logBytes(given, written), "log");
      return checkLog(log, chains, { policy, kernelArguments, banks, now: new Date(), subject: "log" });
    },
    replaced: (find, ...others) => {
      const at = events().findIndex(find);
      if (at === -1) throw new Error("no such event");
      return events().toSpliced(at, 1, ...others);
    },
    atEnd: (...others) => events().toSpliced(-2, 0, ...others),
  });
  return opened;
}

function policyOf(lab: LogLab): SecureBootPolicy {
  const plain = { attributes: 0, time: new Uint8Array(16), monotonicCount: 0n, publicKeyIndex: 0 };
  const names = ["PK", "KEK", "db"] as const;
  return readPolicy(
    names.map((name) => ({ name, vendor: VARIABLE_VENDORS[name], value: lab.value("keys", name), ...plain })),
    "store",
  );
}

export const isVariable =
  (name: string) =>
  (one: EventToLog): boolean =>
    one.pcr === 7 && Buffer.from(one.data.subarray(32)).indexOf(utf16(name)) === 0 && one.data[16] === name.length;
/** @param name a part of its path */
export const isProgram =
  (name: string) =>
  (one: EventToLog): boolean =>
    one.pcr === 4 && Buffer.from(one.data).includes(utf16(name));
