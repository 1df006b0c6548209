/** Times and durations, as they are printed. */
import type { Duration } from "./generated/google/protobuf/duration.js";
import type { Timestamp } from "./generated/google/protobuf/timestamp.js";

/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z: what a Timestamp can be, and RFC 3339 can say. */
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;

/** Rounded up: a call that comes too early is refused again. */
export function milliseconds({ seconds, nanos }: Duration): number {
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
}

/** In UTC, with 0, 3, 6 or 9 digits after the second, as few as lose nothing; nothing for what is no time. */
export function rfc3339({ seconds, nanos }: Timestamp): string | undefined {
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND || nanos < 0 || nanos > 999_999_999) {
    return undefined;
  }
  const second = new Date(Number(seconds) * 1000).toISOString().slice(0, -".000Z".length);
  const fraction = nanos.toString().padStart(9, "0").replace(/(000)+$/, "");
  return fraction === "" ? `${second}Z` : `${second}.${fraction}Z`;
}
