/** The header of a self-unpacking EFI kernel around a payload; not bootable (Linux drivers/firmware/efi/libstub/zboot-header.S). */
export function zboot(compression: string, payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(0x40);
  header.write("MZ\0\0zimg", "latin1");
  header.writeUInt32LE(header.length, 8);
  header.writeUInt32LE(payload.length, 12);
  header.write(compression, 0x18);
  return Buffer.concat([header, payload, Buffer.alloc(16)]);
}
