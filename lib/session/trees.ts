// Compares and walks sessions as trees of values, with what is special about their cookie.
import { StoreError } from "../base/index.js";
import { sameSetting } from "./cookie.js";
import { comparison, isPlain } from "./equal.js";

/** A session, or an object in it, as it comes out of a serializer. */
export type Tree = Record<string, unknown>;

/** Stands for a key that is not there; `undefined` may be a value. */
export const ABSENT = Symbol("absent");

/** A date that follows from the cookie's other settings is nobody's change. */
export const DERIVED = "expires";

/** Goes down a session. Where the stack ends differs; some serializers write deeper than that. */
export function deeply<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if ((error as Error).name !== "RangeError") throw error;
    const message = "the session is nested too deeply to be compared; nothing was stored";
    throw new StoreError("ERR_INVALID_SESSION", message, error);
  }
}

/** Whether two values under one key are the same. */
export type EqualUnder = (a: unknown, b: unknown, key: string) => boolean;

/** How the versions of a session are compared, for as long as one merge lasts. */
export class Trees {
  readonly equal = comparison();

  readonly equalAtRoot: EqualUnder = (a, b, key) =>
    key === "cookie" && isPlain(a) && isPlain(b) ? this.#sameCookie(a, b) : this.equal(a, b);

  readonly equalInCookie: EqualUnder = (a, b, name) =>
    name === DERIVED || sameSetting(name, given(a), given(b)) || this.equal(a, b);

  /** Whether both are objects and the second is a version of the first, not another one in its place. */
  isSameObject(a: unknown, b: unknown): boolean {
    return (
      isPlain(a) &&
      isPlain(b) &&
      this.equal(at(a, "id"), at(b, "id")) &&
      this.equal(at(a, "_id"), at(b, "_id"))
    );
  }

  #sameCookie(a: Tree, b: Tree): boolean {
    for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
      if (!this.equalInCookie(at(a, name), at(b, name), name)) return false;
    }
    return true;
  }
}

function given(value: unknown): unknown {
  return value === ABSENT ? undefined : value;
}

export function at(object: Tree, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : ABSENT;
}

/** Sets an own property also where the key is `__proto__`: no prototype is ever changed. */
export function put(object: Tree, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(object, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  } else {
    object[key] = value;
  }
}
