// Says numbers, spans of time and values in words.
import { types } from "node:util";

/** 12345 as "12,345". */
export function grouped(count: number): string {
  return count.toLocaleString("en-US");
}

/** "1 session", "2 sessions". */
export function counted(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A number of bytes: "512 B", "1.5 kB". */
export function bytesOf(count: number): string {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = count / 1000;
  while (value >= 999.95 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${value.toFixed(1)} ${units[0]}`;
}

const UNITS: readonly (readonly [name: string, ms: number])[] = [
  ["day", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
];

/** A span of time by its largest unit, and the next one: "3 days 2 h", "5 min". */
export function spanOf(ms: number): string {
  const first = UNITS.findIndex(([, length]) => ms >= length);
  if (first === -1) return "under 1 s";
  let rest = ms;
  const parts = UNITS.slice(first, first + 2).map(([name, length]) => {
    const count = Math.floor(rest / length);
    rest %= length;
    if (count === 0) return "";
    return name === "day" ? counted(count, name) : `${count} ${name}`;
  });
  return parts.filter((part) => part !== "").join(" ");
}

/** What is told of a hidden value: its type and its size. */
export function kindOf(value: unknown): string {
  if (typeof value === "string") return `text, ${counted(value.length, "character")}`;
  return typeof value === "object" ? kindOfObject(value) : typeof value;
}

function kindOfObject(value: object | null): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return `array, ${counted(value.length, "item")}`;
  if (ArrayBuffer.isView(value)) return `bytes, ${bytesOf(value.byteLength)}`;
  if (types.isDate(value)) return "date";
  if (types.isMap(value))
    return `map, ${counted(value.size, "entry").replace("entrys", "entries")}`;
  if (types.isSet(value)) return `set, ${counted(value.size, "item")}`;
  return `object, ${counted(Object.keys(value).length, "key")}`;
}
