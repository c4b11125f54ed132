/** The public API, in the order of the pipeline. */
export { EXIT_CODES, SealError, type SealErrorCode } from "./errors.ts";
export { decompressKernel } from "./pe/decompress.ts";
export { findSection, type PeImage, type PeSection, parsePe, sectionData } from "./pe/headers.ts";
export { kernelVersion } from "./pe/kernel-version.ts";
export { assembleUki } from "./pe/uki.ts";
export { type UkiInputs, type UkiSection, ukiSections } from "./pe/uki-sections.ts";
