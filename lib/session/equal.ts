// Compares two values all the way down.
import { isDeepStrictEqual } from "node:util";

/** Whether two values are the same, all the way down. */
export type Equal = (a: unknown, b: unknown) => boolean;

/**
 * Compares values of which many are parts of others: a pair of objects is looked at once. Without
 * that, asking the same at each level of a session costs the square of its depth, and what a request
 * may store of its body is enough to stop a server for half a minute.
 *
 * The values must not change while they are compared.
 */
export function comparison(): Equal {
  const known = new Map<object, Map<object, boolean | undefined>>();
  const equal: Equal = (a, b) => {
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return true;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
    let others = known.get(a);
    if (others === undefined) {
      others = new Map();
      known.set(a, others);
    }
    if (others.has(b)) {
      // `undefined`: an object that holds itself, which some serializers can write.
      return others.get(b) ?? isDeepStrictEqual(a, b);
    }
    others.set(b, undefined);
    const result = isAlike(a, b, equal);
    others.set(b, result);
    return result;
  };
  return equal;
}

function isAlike(a: object, b: object, equal: Equal): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length !== b.length) return false;
    for (let index = 0; index < a.length; index++) if (!equal(a[index], b[index])) return false;
    return true;
  }
  if (!isPlain(a) || !isPlain(b)) return isDeepStrictEqual(a, b);
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  for (const key of keys) if (!Object.hasOwn(b, key) || !equal(a[key], b[key])) return false;
  return true;
}

/** Neither an array nor an instance of a class: something that has keys and nothing else. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: object | null = Object.getPrototypeOf(value);
  // Not compared with Object.prototype: a serializer may live in another realm, as v8.deserialize
  // does under jest.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
