/** A time as an option's value. */
import { z } from "zod";

/** RFC 3339. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i;
const EXAMPLE = "2026-01-02T03:04:05Z";

export const timeSchema = () => z.string().refine(isTime, `give a time like ${EXAMPLE}`);

/** A time, or the word `now`. */
export const timeOrNowSchema = () =>
  z.string().refine((text) => text === "now" || isTime(text), `give a time like ${EXAMPLE}, or now`);

/** Whether text is a time from 1970 on. Refuses the 31st of February, which Date would take for the 3rd of March. */
function isTime(text: string): boolean {
  if (!TIME.test(text)) return false;
  const day = text.slice(0, 10);
  const midnight = new Date(`${day}T00:00:00Z`);
  const year = new Date(text).getUTCFullYear();
  return midnight.getTime() >= 0 && midnight.toISOString().startsWith(day) && year >= 1970 && year <= 9999;
}
