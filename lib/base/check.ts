// Checks of option values, and the errors that they give.
import { StoreError } from "./errors.js";

/** A thousand years in seconds: sums of it with the time of day are exact, and Redis takes them. */
export const LONGEST_S = 31_556_952_000;

/**
 * A duration in seconds, above 0.
 *
 * @param or - what else the option takes, for the message
 */
export function seconds(name: string, value: unknown, or = ""): number {
  if (typeof value === "number" && value > 0 && value <= LONGEST_S) return value;
  throw invalid(name, `a number of seconds above 0, at most ${LONGEST_S}${or}`, value);
}

/** A duration in seconds, 0 included. */
export function secondsOrZero(name: string, value: unknown): number {
  if (typeof value === "number" && value >= 0 && value <= LONGEST_S) return value;
  throw invalid(name, `a number of seconds from 0 to ${LONGEST_S}`, value);
}

export function whole(name: string, value: unknown, most: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most)
    return value;
  throw invalid(name, `a whole number from 1 to ${most}`, value);
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw invalid(name, "true or false", value);
}

export function text(name: string, value: unknown): string {
  if (typeof value === "string") return value;
  throw invalid(name, "a string", value);
}

/** The error for an option's value: what it must be, and what was got. */
export function invalid(name: string, wanted: string, value: unknown): StoreError {
  return new StoreError(
    "ERR_INVALID_OPTION",
    `the option "${name}" must be ${wanted}, got ${shown(value)}`,
  );
}

/** A value for a message: short, and nothing of what is in an object. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  }
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}

/** Checks of several options: what is wrong with them is told all at once. */
export class Checks {
  readonly #faults: StoreError[] = [];

  /** What `check` gives; where it throws, nothing in its place, and {@link Checks.end} throws. */
  of<Result>(check: () => Result): Result {
    try {
      return check();
    } catch (error) {
      this.#faults.push(error as StoreError);
      return undefined as Result;
    }
  }

  /** @throws ERR_INVALID_OPTION if a check has thrown */
  end(): void {
    const [first, ...others] = this.#faults;
    if (first === undefined) return;
    if (others.length === 0) throw first;
    const lines = this.#faults.map(({ message }) => `\n- ${message}`);
    throw new StoreError(
      "ERR_INVALID_OPTION",
      `${lines.length} options are wrong:${lines.join("")}`,
    );
  }
}
