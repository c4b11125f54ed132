/**
 * Variables of firmware as a running Linux shows them: a file for each, called `NAME-GUID`, with the attributes in its
 * first four bytes and the value after them (Linux, Documentation/filesystems/efivarfs.rst).
 */
import { Cursor } from "../bytes.ts";
import type { OtherVariable } from "./authvar.ts";
import type { StoredVariable } from "./ovmf.ts";

const ATTRIBUTES_BYTES = 4;
const EFI_TIME_BYTES = 16;

/** The file of a variable: `db-d719b2cb-3d3a-4596-a3bc-dad00e67656f`. */
export function efivarName({ name, vendor }: OtherVariable): string {
  return `${name}-${vendor}`;
}

/**
 * A variable from its file, which has no time.
 * @throws SealError `input` when it ends within the attributes
 */
export function parseEfivar(bytes: Uint8Array, id: OtherVariable, subject: string): StoredVariable {
  const cursor = new Cursor(bytes, subject);
  return {
    name: id.name,
    vendor: id.vendor,
    attributes: cursor.u32(0, "the attributes of the variable"),
    time: new Uint8Array(EFI_TIME_BYTES),
    monotonicCount: 0n,
    publicKeyIndex: 0,
    value: bytes.subarray(ATTRIBUTES_BYTES),
  };
}
