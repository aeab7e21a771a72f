// Merges what two requests made of one session, and compares sessions.

import { isPlain } from "./equal.js";
import { ABSENT, at, DERIVED, deeply, type EqualUnder, put, type Tree, Trees } from "./trees.js";

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
  /** Whether `mine` was to be the first session there, and the ancestor is none. */
  readonly isFirst?: boolean;
}

/** What became of the other request's changes; each place is a JSON Pointer (RFC 6901). */
export interface MergeReport {
  /** Changes of the other request that the merged session keeps. */
  readonly kept: string[];
  /** Changes of the other request that this one overwrote. */
  readonly overwritten: string[];
}

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
export function merge({ ancestor, current, mine, userOf, isFirst }: MergeInput): Tree | null {
  const trees = new Trees();
  const user = userOf(current) ?? undefined;
  const isSame = trees.equal(userOf(ancestor) ?? undefined, user);
  if (!isSame && !(isFirst && trees.equal(userOf(mine), user))) return null;
  return deeply(() =>
    mergeObjects(ancestor, current, mine, trees.equalAtRoot, (a, c, m, key) =>
      key === "cookie" && isPlain(a) && isPlain(c) && isPlain(m)
        ? mergeCookies(a, c, m, trees)
        : mergeChanged(a, c, m, trees),
    ),
  );
}

/**
 * Whether two versions of a session hold the same values. `cookie.expires` does not count, nor a
 * drift of `cookie.originalMaxAge` by less than a second.
 */
export function sameSession(a: Tree, b: Tree): boolean {
  const { equalAtRoot } = new Trees();
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return deeply(() =>
    keys.every((key) => Object.hasOwn(b, key) && equalAtRoot(a[key], b[key], key)),
  );
}

/** What of the other request's changes (`current` against `ancestor`) a merged session holds. */
export function reportMerge(ancestor: Tree, current: Tree, mine: Tree, merged: Tree): MergeReport {
  const { equal, equalAtRoot, equalInCookie } = new Trees();
  const report: MergeReport = { kept: [], overwritten: [] };
  const walk = (
    a: unknown,
    c: unknown,
    m: unknown,
    r: unknown,
    path: string,
    same: EqualUnder,
  ): void => {
    if (isPlain(c) && isPlain(r)) {
      const keys = new Set([...(isPlain(a) ? Object.keys(a) : []), ...Object.keys(c)]);
      // An empty object has no place below it that could stand for it.
      if (keys.size === 0 && !isPlain(m)) report.kept.push(path);
      for (const key of keys) {
        const below = same === equalAtRoot && key === "cookie" ? equalInCookie : equal;
        const old = isPlain(a) ? at(a, key) : ABSENT;
        const now = at(c, key);
        if (same(old, now, key)) continue;
        const own = isPlain(m) ? at(m, key) : ABSENT;
        const place = `${path}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
        walk(old, now, own, at(r, key), place, below);
      }
    } else if (!equal(c, m)) {
      (equal(c, r) ? report.kept : report.overwritten).push(path);
    }
  };
  deeply(() => walk(ancestor, current, mine, merged, "", equalAtRoot));
  return report;
}

function mergeObjects(
  ancestor: Tree,
  current: Tree,
  mine: Tree,
  equal: EqualUnder,
  mergeValue: (a: unknown, c: unknown, m: unknown, key: string) => unknown,
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
function mergeChanged(a: unknown, c: unknown, m: unknown, trees: Trees): unknown {
  const isMine = trees.isSameObject(a, m);
  const isCurrent = trees.isSameObject(a, c);
  // Both changed the same object; or put one where none was, or replaced one by the same other one.
  if (isMine === isCurrent && trees.isSameObject(c, m)) {
    const from = isMine ? (a as Tree) : {};
    return mergeObjects(from, c as Tree, m as Tree, trees.equal, (...values) =>
      mergeChanged(values[0], values[1], values[2], trees),
    );
  }
  // This request changed something in an object that is no longer there.
  return isMine && !isCurrent ? c : m;
}

function mergeCookies(a: Tree, c: Tree, m: Tree, { equalInCookie }: Trees): Tree {
  const cookie = mergeObjects(a, c, m, equalInCookie, (_a, _c, mine) => mine);
  // The date belongs to the originalMaxAge that won.
  const winner = equalInCookie(cookie.originalMaxAge, m.originalMaxAge, "originalMaxAge") ? m : c;
  if (DERIVED in winner) put(cookie, DERIVED, winner[DERIVED]);
  else delete cookie[DERIVED];
  return cookie;
}
