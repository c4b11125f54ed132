/**
 * The one error class of seal. A message is one line that names the thing, says what is wrong and, where there is a way
 * out, what to do next. `cli/main.ts` alone turns codes into exit codes.
 */

/**
 * - `check`: a check was made and failed (verify refused, digests differ)
 * - `usage`: the command line or the configuration is wrong
 * - `input`: a file or tree is bad, missing or unreadable, or an output can't be written
 * - `external`: a program or a signer that seal called failed
 */
export type SealErrorCode = "check" | "usage" | "input" | "external";

/** Exit codes of the command line contract; anything that is not at a {@link SealError} is a bug and exits with 70. */
export const EXIT_CODES = { ok: 0, check: 1, usage: 2, input: 3, external: 4, bug: 70 } as const;

/** The one error class: anything else that is thrown is a bug. */
export class SealError extends Error {
  override readonly name = "SealError";
  readonly code: SealErrorCode;

  /** @param message one line: subject, reason, way out; without a final newline */
  constructor(code: SealErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Bad or unreadable input: `subject: reason`. `subject` is what the user knows the thing by, mostly a path. */
export function inputError(subject: string, reason: string, cause?: unknown): SealError {
  return new SealError("input", `${subject}: ${reason}`, cause === undefined ? undefined : { cause });
}
