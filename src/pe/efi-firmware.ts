/** The `.efifw` section of systemd-stub 258 and later: one firmware image for devices that the stub recognises. */
import { utf8 } from "../bytes.ts";
import { concat } from "../chunks.ts";

const MAGIC = 0xfeed_dead;
const HEADER_SIZE = 16;

/**
 * @param id names the firmware; hardware ids (`.hwids`) refer to it
 * @returns four little-endian words (magic, header length, lengths of id and payload), the id with a NUL, the payload
 */
export function efiFirmwareSection(id: string, payload: Uint8Array): Uint8Array {
  const name = utf8(`${id}\0`);
  const header = new DataView(new ArrayBuffer(HEADER_SIZE));
  for (const [index, word] of [MAGIC, HEADER_SIZE, name.length, payload.length].entries()) {
    header.setUint32(4 * index, word, true);
  }
  return concat([new Uint8Array(header.buffer), name, payload]);
}
