/** The part of zod that the kit needs, by name: handed on whole, all of zod would be in the bundle. */
import { z } from "zod";

export const zod = {
  array: z.array,
  boolean: z.boolean,
  enum: z.enum,
  number: z.number,
  string: z.string,
  union: z.union,
};
