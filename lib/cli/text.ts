// Writes values for people: escaped, aligned, in units that are read at a glance.
import { types } from "node:util";

/** C0 and C1 controls, marks that turn the direction of a text, and halves of characters. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** A text that does nothing to a terminal. */
export function escaped(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

/** A size in bytes. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = count;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** A duration in ms. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800
    ? `${Math.round(seconds / 3600)} h`
    : `${Math.round(seconds / 86_400)} d`;
}

/** Texts in columns. */
export function columns(row: readonly string[], widths: readonly number[]): string {
  return row
    .map((text, index) => text.padEnd(widths[index] ?? 0))
    .join("  ")
    .trimEnd();
}

/** One place of a session's content. */
export interface Place {
  /** A JSON Pointer (RFC 6901). */
  readonly path: string;
  readonly type: string;
  /** How many bytes it is as JSON. */
  readonly bytes: number;
  /** The value as JSON. */
  readonly value: string;
}

/** The leaves of a session, each with its type and size. */
export function* placesOf(value: unknown, path = ""): Generator<Place> {
  const isTree = typeof value === "object" && value !== null && !types.isDate(value);
  const keys = isTree ? Object.keys(value) : [];
  if (keys.length > 0) {
    for (const key of keys) {
      const name = key.replaceAll("~", "~0").replaceAll("/", "~1");
      yield* placesOf((value as Record<string, unknown>)[key], `${path}/${name}`);
    }
    return;
  }
  const json = JSON.stringify(value) ?? String(value);
  const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  yield { path, type, bytes: Buffer.byteLength(json), value: json };
}
