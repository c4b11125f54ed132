/**
 * The header of a self-unpacking EFI kernel around a payload; not bootable (Linux
 * drivers/firmware/efi/libstub/zboot-header.S).
 */
export function zboot(compression: string, payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(0x40);
  header.write("MZ\0\0zimg", "latin1");
  header.writeUInt32LE(header.length, 8);
  header.writeUInt32LE(payload.length, 12);
  header.write(compression, 0x18);
  return Buffer.concat([header, payload, Buffer.alloc(16)]);
}

/** A PE file as a kernel that unpacks the payload behind it; the PE header must begin where the zboot header ends. */
export function zbootKernel(pe: Uint8Array, compression: string, payload: Uint8Array): Uint8Array {
  const file = Buffer.concat([pe, payload]);
  file.write("\0\0zimg", 2, "latin1");
  file.writeUInt32LE(pe.length, 8);
  file.writeUInt32LE(payload.length, 12);
  file.fill(0, 0x18, 0x20).write(compression, 0x18);
  return file;
}
