/** A small variable store like OVMF_VARS.fd: one block with 16 KiB for variables, and something behind it. */
import { encodeGuid, knownGuid } from "../../src/sign/guid.ts";
import { parseVariableStore, writeVariableStore } from "../../src/sign/ovmf.ts";

const STORE_BYTES = 0x4000;
const VOLUME_BYTES = 0x6000;

export function emptyStore(): Uint8Array {
  const file = new Uint8Array(VOLUME_BYTES).fill(0xff);
  const view = new DataView(file.buffer);
  file.fill(0, 0, 16);
  file.set(encodeGuid(knownGuid("fff12b8d-7696-4c8b-a985-2747075b4f50")), 16);
  view.setBigUint64(32, BigInt(VOLUME_BYTES), true);
  file.set(Buffer.from("_FVH"), 40);
  view.setUint32(44, 0x0004feff, true);
  view.setUint16(48, 72, true);
  view.setUint16(50, 0, true);
  file.set([0, 0, 0, 2], 52);
  for (const [index, word] of [6, 0x1000, 0, 0].entries()) view.setUint32(56 + 4 * index, word, true);
  let sum = 0;
  for (let offset = 0; offset < 72; offset += 2) sum += view.getUint16(offset, true);
  view.setUint16(50, -sum & 0xffff, true);
  file.set(encodeGuid(knownGuid("aaf32c78-947b-439a-a180-2e144ec37792")), 72);
  view.setUint32(88, STORE_BYTES, true);
  file.set([0x5a, 0xfe, 0, 0, 0, 0, 0, 0], 92);
  return file;
}

/** A variable store as firmware with Secure Boot leaves it. */
export function usedStore(): Uint8Array {
  const store = parseVariableStore(emptyStore(), "vars.fd");
  const certdb = {
    name: "certdb",
    vendor: knownGuid("d9bee56e-75dc-49d9-b4d7-b534210f637a"),
    attributes: 0x27,
    time: new Uint8Array(16),
    monotonicCount: 0n,
    publicKeyIndex: 0,
    value: Uint8Array.of(4, 0, 0, 0),
  };
  return writeVariableStore(store, [certdb]);
}
