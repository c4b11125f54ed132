/** Reads a directory of hardware ID files, as in /usr/lib/systemd/boot/hwids. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { inputError } from "../../errors.ts";
import { reasonOf } from "../../io/files.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { type HardwareDevice, hwidsSection } from "../../pe/hwids.ts";
import { type Context, userPath } from "../context.ts";

/** Any of the spellings of a GUID that Python's uuid takes, as hex digits. */
const guidSchema = z
  .string()
  .transform((text) =>
    text
      .replace(/urn:|uuid:/g, "")
      .replace(/^[{}]+|[{}]+$/g, "")
      .replaceAll("-", ""),
  )
  .pipe(z.string().regex(/^[0-9a-f]{32}$/i, "is not a GUID"));
const plainText = z.string().refine((value) => !/\0|\p{Surrogate}/u.test(value), "is not plain text");
const common = { name: plainText, hwids: z.array(guidSchema) };
const schema = z
  .discriminatedUnion("type", [
    z.looseObject({ type: z.literal("devicetree"), ...common, compatible: plainText, fwid: z.undefined().optional() }),
    z.looseObject({ type: z.literal("uefi-fw"), ...common, fwid: plainText, compatible: z.undefined().optional() }),
  ])
  .transform(
    (device): HardwareDevice => ({
      type: device.type,
      name: device.name,
      target: device.type === "devicetree" ? device.compatible : device.fwid,
      hwids: device.hwids,
    }),
  );

/**
 * The `.hwids` section for all `*.json` files in a directory and below.
 * @throws SealError `input` for a directory or file that can't be read or does not describe a device
 */
export async function readHwids(context: Context, path: string): Promise<Uint8Array> {
  const directory = userPath(context, path);
  let names: string[];
  try {
    names = await readdir(directory, { recursive: true });
  } catch (error) {
    throw inputError(path, `can't be read: ${reasonOf(error)}`, error);
  }
  const parts = names.filter((name) => name.endsWith(".json")).map((name) => name.split("/"));
  const devices: HardwareDevice[] = [];
  for (const file of parts.toSorted(compareParts)) devices.push(await readDevice(directory, join(path, ...file), file));
  return hwidsSection(devices);
}

async function readDevice(directory: string, subject: string, file: readonly string[]): Promise<HardwareDevice> {
  const bytes = await readInput(join(directory, ...file), SMALL_FILE);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw inputError(subject, "is not valid JSON", error);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw inputError(
    subject,
    `describes no device (${issue?.path.join(".") || "file"}: ${issue?.message}); give type, name, hwids and compatible or fwid`,
  );
}

/** Directory by directory, as paths sort in Python. */
function compareParts(a: readonly string[], b: readonly string[]): number {
  for (const [index, part] of a.entries()) {
    const other = b[index];
    if (other === undefined) return 1;
    const order = Buffer.compare(Buffer.from(part), Buffer.from(other));
    if (order !== 0) return order;
  }
  return a.length - b.length;
}
