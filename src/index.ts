/** The public API, in the order of the pipeline. */
export { EXIT_CODES, SealError, type SealErrorCode } from "./errors.ts";
