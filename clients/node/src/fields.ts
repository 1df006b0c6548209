/** The fields of what is printed. */

/** Those that have a value. */
export function present<T extends Record<string, unknown>>(fields: T): T {
  const isEmpty = (value: unknown) =>
    value === undefined || value === "" || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value))) as T;
}

/** An enum's word; none for UNSPECIFIED, nor for a number that is not known here. */
export function word(words: Record<number, string>, value: number): string | undefined {
  return value === 0 ? undefined : words[value];
}
