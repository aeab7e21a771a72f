// What Redis holds under the key of a session, before anybody reads it.

/** What a key holds: text, or bytes where the serializer is binary. */
export type Value = string | Buffer;

/** Whether two values are the same, byte by byte. */
export function sameValue(a: Value, b: Value): boolean {
  return typeof a === "string" || typeof b === "string" ? a === b : a.equals(b);
}
