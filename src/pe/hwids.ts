/**
 * The `.hwids` section: which device tree or firmware fits a machine with which hardware IDs (systemd-stub(7); the
 * table's layout is that of ukify 262).
 */
import { compareBytes, utf8 } from "../bytes.ts";
import { concat } from "../chunks.ts";

const DEVICE_SIZE = 28;
const TYPES = { devicetree: 1, "uefi-fw": 2 } as const;

export interface HardwareDevice {
  readonly type: keyof typeof TYPES;
  readonly name: string;
  /** `compatible` of a device tree, or the id of a firmware (`.efifw`). */
  readonly target: string;
  /** Each 32 hex digits, in the order of a GUID's text. */
  readonly hwids: readonly string[];
}

/** The bytes of a GUID's text in the mixed byte order of UEFI. */
const GUID_ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;

/**
 * Encodes the table: a record for each device and hardware ID (u32 size and type, GUID, u32 offsets of name
 * and target, little-endian), a record of zeros, then the strings. Devices keep their order; IDs are sorted,
 * and each is there once.
 */
export function hwidsSection(devices: readonly HardwareDevice[]): Uint8Array {
  const merged = new Map<string, { device: HardwareDevice; hwids: Set<string> }>();
  for (const device of devices) {
    const key = JSON.stringify([device.type, device.name, device.target]);
    const entry = merged.get(key) ?? { device, hwids: new Set() };
    for (const hwid of device.hwids) entry.hwids.add(hwid.toLowerCase());
    merged.set(key, entry);
  }
  const records = [...merged.values()].flatMap(({ device, hwids }) =>
    [...hwids].toSorted().map((hwid) => ({ device, hwid })),
  );
  const strings = [...new Set([...merged.values()].flatMap(({ device }) => [device.name, device.target]))]
    .map((text) => ({ text, bytes: utf8(`${text}\0`) }))
    // UTF-8 has the order of code points.
    .toSorted((a, b) => compareBytes(a.bytes, b.bytes));
  const offsets = new Map<string, number>();
  let offset = (records.length + 1) * DEVICE_SIZE;
  for (const { text, bytes } of strings) {
    offsets.set(text, offset);
    offset += bytes.length;
  }
  const table = Buffer.alloc((records.length + 1) * DEVICE_SIZE);
  for (const [index, { device, hwid }] of records.entries()) {
    const start = index * DEVICE_SIZE;
    const guid = Buffer.from(hwid, "hex");
    // The topmost four bits are the type.
    table.writeUInt32LE(TYPES[device.type] * 2 ** 28 + DEVICE_SIZE, start);
    table.set(
      GUID_ORDER.map((from) => guid[from] ?? 0),
      start + 4,
    );
    table.writeUInt32LE(offsets.get(device.name) ?? 0, start + 20);
    table.writeUInt32LE(offsets.get(device.target) ?? 0, start + 24);
  }
  return concat([table, ...strings.map(({ bytes }) => bytes)]);
}
