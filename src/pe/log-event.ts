/**
 * What events of a log say in their data (TCG PC Client Platform Firmware Profile 1.05, 10.2). For some the
 * digest is the hash of the data, so that is what was measured ({@link isHashOfData}); with a program's digest
 * the data is only a remark.
 */
import { Cursor, equalBytes } from "../bytes.ts";
import { SealError } from "../errors.ts";
import { digestOf } from "./digest.ts";
import type { LoggedEvent } from "./event-log.ts";
import type { PcrBank } from "./pcr-events.ts";

/** Whether an event's digests are the hashes of its data, in each of these banks. */
export function isHashOfData({ digests, data }: LoggedEvent, banks: readonly PcrBank[]): boolean {
  return banks.every((bank) => {
    const digest = digests[bank];
    return digest !== undefined && equalBytes(digest, digestOf(bank, [data]));
  });
}

/**
 * Address, length and link-time address of the image, 8 bytes each, before the length of its device path and that path.
 */
const IMAGE_HEADER = 3 * 8;
/** Type and subtype of a node with a path in a filesystem (UEFI specification 10.3.5.4), and of the end (10.3.1). */
const FILE_PATH = 0x0404;
const END_OF_PATH = 0x7f;
const NODE_HEADER = 4;

/** UEFI_IMAGE_LOAD_EVENT (10.2.3): where a program came from, `\EFI\BOOT\BOOTX64.EFI`; null when it does not say. */
export function loadedFrom({ data }: LoggedEvent): string | null {
  return readable(() => {
    const cursor = new Cursor(data, "");
    const length = Number(cursor.u64(IMAGE_HEADER, "the length of the path"));
    const path = new Cursor(cursor.slice(IMAGE_HEADER + 8, length, "the path"), "");
    const parts: string[] = [];
    for (let offset = 0; offset < path.length; ) {
      const type = path.u8(offset, "a node");
      const size = path.u16(offset + 2, "a node");
      if (type === END_OF_PATH || size < NODE_HEADER) break;
      const content = path.slice(offset + NODE_HEADER, size - NODE_HEADER, "a node");
      if (((type << 8) | path.u8(offset + 1, "a node")) === FILE_PATH) parts.push(utf16(content));
      offset += size;
    }
    return parts.length === 0 ? null : parts.join("\\").replaceAll(/\\{2,}/g, "\\");
  });
}

/** A text in UTF-16, as systemd-boot and systemd-stub log it with EV_IPL: what was measured, or what that was. */
export function loggedText({ data }: LoggedEvent): string {
  return utf16(data);
}

/** TCG_PCClientTaggedEvent (10.4.3): number, size and data, which is a text here; null when it is not one. */
export function taggedText({ data }: LoggedEvent): { readonly tag: number; readonly text: string } | null {
  return readable(() => {
    const cursor = new Cursor(data, "");
    const size = cursor.u32(4, "the size");
    return { tag: cursor.u32(0, "the number"), text: utf16(cursor.slice(8, size, "the data")) };
  });
}

/** To the first NUL. */
function utf16(bytes: Uint8Array): string {
  const [text = ""] = Buffer.from(bytes).toString("utf16le").split("\0", 1);
  return text;
}

/** What a reader gives; null where the data are not what it reads. */
export function readable<Value>(read: () => Value): Value | null {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return null;
  }
}
