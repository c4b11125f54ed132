/**
 * JSON documents of images as they are: what seal does not know stays in them. Numbers that a double does not hold,
 * or would write in another way, keep their digits, so that a document that was read and written again means the
 * same to every reader.
 */
import { inputError } from "../errors.ts";

/** A value of JSON. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
/** An object of JSON. */
export interface JsonObject {
  readonly [key: string]: Json;
}

// TypeScript does not know these yet (ECMAScript proposal "JSON.parse source text access", in Node since 21).
declare global {
  interface JSON {
    parse(text: string, reviver: (key: string, value: Json, context: { readonly source?: string }) => Json): Json;
    rawJSON(text: string): JsonObject;
  }
}

/** @throws SealError `input` for anything but one JSON object in UTF-8 */
export function parseJsonObject(bytes: Uint8Array, subject: string): JsonObject {
  let json: Json;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes), (_, value, { source }) =>
      typeof value === "number" && source !== undefined && String(value) !== source ? JSON.rawJSON(source) : value,
    );
  } catch (error) {
    throw inputError(subject, "is not valid JSON", error);
  }
  return objectOf(json, subject);
}

/** The same document gives the same bytes; members stay in their order. */
export function formatJson(value: Json): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** A member that is an object; an empty one where it is missing or null. @throws SealError `input` for anything else */
export function objectOf(value: Json | undefined, subject: string): JsonObject {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !isArray(value)) return value;
  throw inputError(subject, "is not a JSON object: the image is damaged");
}

/** A member that is an array; an empty one where it is missing or null. @throws SealError `input` for anything else */
export function arrayOf(value: Json | undefined, subject: string): readonly Json[] {
  if (value === undefined || value === null) return [];
  if (isArray(value)) return value;
  throw inputError(subject, "is not a JSON array: the image is damaged");
}

function isArray(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
