import { isDeepStrictEqual } from "node:util";
import { sameSetting } from "./cookie.js";

/** A session, or an object in it, as it comes out of a serializer. */
export type Tree = Record<string, unknown>;

/** The three versions that a merge is made of, and what names the user of a session. */
export interface MergeInput {
  /** What the request started from. */
  readonly ancestor: Tree;
  /** What Redis holds now, changed by another request. */
  readonly current: Tree;
  /** What the request made of the ancestor. */
  readonly mine: Tree;
  /** Names the user of a session; two users are never mixed. */
  readonly userOf: (session: Tree) => unknown;
}

/** What became of the other request's changes; each place is a JSON Pointer (RFC 6901). */
export interface MergeReport {
  /** Changes of the other request that the merged session keeps. */
  readonly kept: string[];
  /** Changes of the other request that this one overwrote. */
  readonly overwritten: string[];
}

/** Stands for a key that is not there; `undefined` may be a value. */
const ABSENT = Symbol("absent");

/** A date that follows from the cookie's other settings is nobody's change. */
const DERIVED = "expires";

/**
 * Applies what a request did (`mine` against `ancestor`) to the session as it is now (`current`).
 *
 * - Plain objects merge key by key; arrays and everything else are replaced whole.
 * - A leaf that both changed goes to this request, the later writer.
 * - Who removes or replaces an object wins over who changes something in it: otherwise a request
 *   that writes `user.lastSeen` would undo the logout that removed `user`.
 * - An object with another `id` or `_id` is another object.
 *
 * @returns the merged session, a new object that may share parts with the three; or `null` where
 *   the session changed its user meanwhile and nothing of the request may be applied
 */
export function merge({ ancestor, current, mine, userOf }: MergeInput): Tree | null {
  if (!isDeepStrictEqual(userOf(ancestor), userOf(current))) return null;
  return mergeObjects(ancestor, current, mine, equalAtRoot, mergeAtRoot);
}

type Equal = (a: unknown, b: unknown, key: string) => boolean;
type MergeValue = (a: unknown, c: unknown, m: unknown, key: string) => unknown;

function mergeObjects(
  ancestor: Tree,
  current: Tree,
  mine: Tree,
  equal: Equal,
  mergeValue: MergeValue,
): Tree {
  const merged: Tree = {};
  for (const key of new Set([...Object.keys(current), ...Object.keys(mine)])) {
    const a = at(ancestor, key);
    const c = at(current, key);
    const m = at(mine, key);
    let value: unknown;
    if (equal(a, m, key)) value = c;
    else if (equal(a, c, key) || equal(c, m, key)) value = m;
    else value = mergeValue(a, c, m, key);
    if (value !== ABSENT) put(merged, key, value);
  }
  return merged;
}

/** Both sides changed the value under one key, differently. */
function mergeChanged(a: unknown, c: unknown, m: unknown): unknown {
  if (isObject(m) && isObject(c)) {
    if (isSameObject(a, m) && isSameObject(a, c))
      return mergeObjects(a, c, m, equalBelow, mergeChanged);
    // Both put an object where none was, or both replaced it by the same other one.
    if (!isSameObject(a, m) && !isSameObject(a, c) && isSameObject(c, m)) {
      return mergeObjects({}, c, m, equalBelow, mergeChanged);
    }
  }
  // This request changed something in an object that is no longer there.
  if (isSameObject(a, m) && !isSameObject(a, c)) return c;
  return m;
}

function equalBelow(a: unknown, b: unknown): boolean {
  return a === b || isDeepStrictEqual(a, b);
}

function equalAtRoot(a: unknown, b: unknown, key: string): boolean {
  return key === "cookie" && isObject(a) && isObject(b) ? sameCookie(a, b) : equalBelow(a, b);
}

function mergeAtRoot(a: unknown, c: unknown, m: unknown, key: string): unknown {
  if (key !== "cookie" || !isObject(a) || !isObject(c) || !isObject(m))
    return mergeChanged(a, c, m);
  const cookie = mergeObjects(a, c, m, equalInCookie, (_a, _c, mine) => mine);
  // The date belongs to the originalMaxAge that won.
  const winner = equalInCookie(cookie.originalMaxAge, m.originalMaxAge, "originalMaxAge") ? m : c;
  if (DERIVED in winner) put(cookie, DERIVED, winner[DERIVED]);
  else delete cookie[DERIVED];
  return cookie;
}

function equalInCookie(a: unknown, b: unknown, name: string): boolean {
  if (name === DERIVED) return true;
  return sameSetting(name, given(a), given(b)) || equalBelow(a, b);
}

function given(value: unknown): unknown {
  return value === ABSENT ? undefined : value;
}

function sameCookie(a: Tree, b: Tree): boolean {
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (!equalInCookie(at(a, name), at(b, name), name)) return false;
  }
  return true;
}

/**
 * Whether two versions of a session hold the same values. `cookie.expires` does not count, nor a
 * drift of `cookie.originalMaxAge` by less than a second.
 */
export function sameSession(a: Tree, b: Tree): boolean {
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equalAtRoot(a[key], b[key], key));
}

/** What of the other request's changes (`current` against `ancestor`) a merged session holds. */
export function reportMerge(ancestor: Tree, current: Tree, mine: Tree, merged: Tree): MergeReport {
  const report: MergeReport = { kept: [], overwritten: [] };
  const walk = (
    a: unknown,
    c: unknown,
    m: unknown,
    r: unknown,
    path: string,
    equal: Equal,
  ): void => {
    if (isObject(c) && isObject(r)) {
      const keys = new Set([...(isObject(a) ? Object.keys(a) : []), ...Object.keys(c)]);
      // An empty object has no place below it that could stand for it.
      if (keys.size === 0 && !isObject(m)) report.kept.push(path);
      for (const key of keys) {
        const below = equal === equalAtRoot && key === "cookie" ? equalInCookie : equalBelow;
        const old = isObject(a) ? at(a, key) : ABSENT;
        const now = at(c, key);
        if (equal(old, now, key)) continue;
        const own = isObject(m) ? at(m, key) : ABSENT;
        const place = `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
        walk(old, now, own, at(r, key), place, below);
      }
    } else if (!equalBelow(c, m)) {
      (equalBelow(c, r) ? report.kept : report.overwritten).push(path);
    }
  };
  walk(ancestor, current, mine, merged, "", equalAtRoot);
  return report;
}

/** Neither an array nor an instance of a class: something that merges key by key. */
function isObject(value: unknown): value is Tree {
  if (typeof value !== "object" || value === null) return false;
  const prototype: object | null = Object.getPrototypeOf(value);
  // Not compared with Object.prototype: a serializer may live in another realm, as v8.deserialize
  // does under jest.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Whether both are objects and the second is a version of the first, not another one in its place. */
function isSameObject(a: unknown, b: unknown): a is Tree {
  return (
    isObject(a) &&
    isObject(b) &&
    equalBelow(at(a, "id"), at(b, "id")) &&
    equalBelow(at(a, "_id"), at(b, "_id"))
  );
}

function at(object: Tree, key: string): unknown {
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
