/** Checks whether an event log comes from a machine that booted certain files. */
import { inputError } from "../errors.ts";
import type { LoggedEvent } from "../pe/event-log.ts";
import { type BankValues, PCR_BANKS, type PcrBank } from "../pe/pcr-events.ts";
import type { BootPath, ReferenceOptions, WayReference } from "../sign/boot-reference.ts";
import { compareLog, type LogVerdict, replayLog } from "../sign/log-comparison.ts";
import { bootReferences } from "./boot-reference.ts";

/** What an event log is compared with. */
export interface LogCheckOptions extends Pick<ReferenceOptions, "policy" | "kernelArguments" | "now"> {
  /** The banks to compare; absent: all that the log has. */
  readonly banks?: readonly PcrBank[] | undefined;
  /** Names the log in messages. */
  readonly subject: string;
}

/** The result of comparing an event log with an image. */
export interface LogCheck extends LogVerdict<WayReference> {
  readonly banks: readonly PcrBank[];
  /** The PCR values that the log results in: a quote must have the same. */
  readonly pcrs: readonly { readonly pcr: number; readonly values: BankValues }[];
  /** Which of the files firmware would not start, one line each. */
  readonly refusals: readonly string[];
}

/**
 * Compares a log with all ways to boot.
 * @throws SealError `input` for a log without the banks, or with SHA-1 alone unless that was requested; `check` when
 *   firmware would start nothing
 */
export function checkLog(log: readonly LoggedEvent[], paths: readonly BootPath[], options: LogCheckOptions): LogCheck {
  const { policy, kernelArguments, now, subject } = options;
  const banks = chooseBanks(log, options.banks, subject);
  const { references, refusals } = bootReferences(paths, { policy, banks, phases: [], kernelArguments, now });
  const [first, ...others] = references;
  if (first === undefined) throw inputError(subject, "there is nothing to compare it with");
  return { ...compareLog(log, [first, ...others], policy, banks), banks, pcrs: replayLog(log, banks), refusals };
}

/** A program can be passed off as another one with the same SHA-1 hash, so a log with nothing else proves nothing. */
function chooseBanks(
  log: readonly LoggedEvent[],
  wanted: readonly PcrBank[] | undefined,
  subject: string,
): readonly PcrBank[] {
  const present = PCR_BANKS.filter((bank) => log.some(({ digests }) => digests[bank] !== undefined));
  if (present.length === 0) throw inputError(subject, "has no events with digests that seal knows");
  const absent = wanted?.find((bank) => !present.includes(bank));
  if (absent !== undefined) {
    throw inputError(subject, `has no ${absent} digests; it has ${present.join(", ")}: give these with --banks`);
  }
  if (wanted === undefined && present.every((bank) => bank === "sha1")) {
    throw inputError(
      subject,
      "has SHA-1 digests only, by which one program can be passed off as another; switch on the SHA-256 bank of the TPM, or give --banks sha1 to compare them all the same",
    );
  }
  return wanted ?? present;
}
