/**
 * EFI_TIME (UEFI specification 8.3), 16 bytes: year, month, day, hour, minute, second, and what signed updates must
 * leave at zero. Firmware compares times field by field and does not ask whether there is such a day (EDK II,
 * AuthServiceInternalCompareTimeStamp): sbvarsign, which counts months from 0, dates updates of January with month 0,
 * and there are others of 31 February.
 */
import { Cursor } from "../bytes.ts";
import { inputError } from "../errors.ts";

/** The fields that firmware compares, the first one first. They need not be a date of the calendar. */
export interface EfiTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

export const EFI_TIME_BYTES = 16;
/** After the seconds. */
const FIELDS_END = 7;

/** A time in UTC, without parts of a second. */
export function efiTimeOf(date: Date): EfiTime {
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  };
}

/** The 16 bytes, with time zone, daylight saving, nanoseconds and padding 0, as updates must have them. */
export function encodeTime(time: Date | EfiTime): Uint8Array {
  const { year, month, day, hour, minute, second } = time instanceof Date ? efiTimeOf(time) : time;
  const bytes = new Uint8Array(EFI_TIME_BYTES);
  bytes.set([year & 0xff, year >> 8, month, day, hour, minute, second]);
  return bytes;
}

/**
 * @param bytes 16
 * @throws SealError `input` for a time zone, daylight saving or parts of a second, for which firmware refuses an update
 */
export function decodeTime(bytes: Uint8Array, subject: string): EfiTime {
  const cursor = new Cursor(bytes, subject);
  cursor.slice(0, EFI_TIME_BYTES, "the time");
  if (bytes.subarray(FIELDS_END).some((byte) => byte !== 0)) {
    throw inputError(subject, "its time has a time zone or fractions of a second, which updates may not have");
  }
  return timeFields(bytes);
}

/** The fields, valid or not. @param bytes 16 */
export function timeFields(bytes: Uint8Array): EfiTime {
  const [low = 0, high = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = bytes;
  return { year: low + 256 * high, month, day, hour, minute, second };
}

/** Below 0 when the first one is earlier, as firmware sees it. */
export function compareTimes(a: EfiTime, b: EfiTime): number {
  return Buffer.compare(Buffer.from(timeText(a)), Buffer.from(timeText(b)));
}

/** ISO 8601 with milliseconds, also for an impossible date: `2026-00-31T03:04:05.000Z`. */
export function timeText({ year, month, day, hour, minute, second }: EfiTime): string {
  const [m, d, h, min, s] = [month, day, hour, minute, second].map((part) => String(part).padStart(2, "0"));
  return `${String(year).padStart(4, "0")}-${m}-${d}T${h}:${min}:${s}.000Z`;
}

/** What to know of a time that no calendar has; null for all others. */
export function calendarNote(time: EfiTime): string | null {
  const { year, month, day, hour, minute, second } = time;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  if (timeText(efiTimeOf(date)) === timeText(time)) return null;
  return `${timeText(time).slice(0, 19)} is not a valid time; firmware only compares times and accepts it`;
}
