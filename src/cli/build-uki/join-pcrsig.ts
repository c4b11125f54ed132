/** `build-uki --join-pcrsig UKI --pcrsig JSON`: reads both. */
import { z } from "zod";
import { inputError } from "../../errors.ts";
import { readInput } from "../../io/read-input.ts";
import { parsePe } from "../../pe/headers.ts";
import { joinPcrsig } from "../../pe/join-pcrsig.ts";
import type { PolicySignatures } from "../../pe/pcr-policy.ts";
import { decodeText } from "../../text.ts";
import { type Context, userPath } from "../context.ts";
import { textOrFile } from "./inputs.ts";

const hex = z.string().regex(/^(?:[0-9a-f]{2})+$/, "is not lower-case hex");
const entry = z.looseObject({
  pcrs: z.array(z.int()),
  pkfp: hex,
  ref: z.string().exactOptional(),
  pol: hex,
  tbs: hex.exactOptional(),
  sig: z.base64().min(1).exactOptional(),
});
const schema = z.record(
  z.enum(["sha1", "sha256", "sha384", "sha512"]).or(z.string().regex(/^sha3[-_]?\d+$/)),
  z.array(entry),
);

/** @throws SealError `input` for a text that is not a `.pcrsig` */
function parsePcrsig(text: string, subject: string): PolicySignatures {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw inputError(subject, "is not valid JSON", error);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw inputError(subject, `holds no PCR policies (${issue?.path.join(".") || "all"}: ${issue?.message})`);
}

/**
 * The UKI with its signatures.
 * @throws SealError as {@link joinPcrsig}
 */
export async function joinedPcrsig(
  context: Context,
  { joinPcrsig: path, pcrsig }: { readonly joinPcrsig: string; readonly pcrsig: string },
): Promise<Uint8Array> {
  const subject = pcrsig.startsWith("@") ? pcrsig.slice(1) : "--pcrsig";
  const text = decodeText((await textOrFile(context, pcrsig)) ?? new Uint8Array(), subject);
  const pe = parsePe([await readInput(userPath(context, path))], path);
  const [bytes = new Uint8Array()] = joinPcrsig(pe, { signatures: parsePcrsig(text, subject), subject }, parsePcrsig);
  return bytes;
}
