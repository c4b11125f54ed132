/** A GUID as an option's value. */
import { z } from "zod";
import { type Guid, parseGuid } from "../../sign/guid.ts";

export const guid = () =>
  z.string().transform((text, issue): Guid => {
    const parsed = parseGuid(text);
    if (parsed !== null) return parsed;
    issue.addIssue(`"${text}" is not a GUID; one looks like 8be4df61-93ca-11d2-aa0d-00e098032b8c`);
    return z.NEVER;
  });
