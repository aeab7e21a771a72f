// Tells whether a write that got no answer has happened, by what is there now.
import { isPlain } from "./equal.js";
import { ABSENT, at, deeply, type EqualUnder, type Tree, Trees } from "./trees.js";

/** What shows of a write in a part of a session. */
type Trace =
  /** Some place still holds what it held before. */
  | "missing"
  /** Something that was written. */
  | "found"
  /** Nothing: others have changed everything that it wrote. */
  | "hidden"
  /** It changed nothing here. */
  | "untouched";

/**
 * Whether a write is part of what a session has become, where somebody else wrote on top of it. A
 * write lands whole or not at all. So it has landed where every place that it changed holds its
 * value or a third one, and at least one holds its value.
 *
 * @param before - the session that it was to replace
 * @param after - the session that it was to store
 * @param current - the session as it is now
 */
export function hasLanded(before: Tree, after: Tree, current: Tree): boolean {
  const trees = new Trees();
  return deeply(() => {
    const inData = traceOf(dataOf(before), dataOf(after), current, trees);
    if (inData === "missing") return false;
    // Most cookies are the same: that one is there proves nothing where there is more.
    const isFirst = !Object.hasOwn(before, "cookie");
    if (isFirst && inData !== "untouched") return inData === "found";
    const inCookie = traceOf(cookieOf(before), cookieOf(after), current, trees);
    if (inCookie === "missing") return false;
    return (inData === "untouched" ? inCookie : inData) === "found";
  });
}

function dataOf(session: Tree): Tree {
  const { cookie: _, ...data } = session;
  return data;
}

function cookieOf(session: Tree): Tree {
  return Object.hasOwn(session, "cookie") ? { cookie: session.cookie } : {};
}

function traceOf(before: Tree, after: Tree, current: Tree, trees: Trees): Trace {
  const { equal, equalAtRoot, equalInCookie } = trees;
  let [written, found, removed, hidden] = [0, 0, 0, 0];
  /** `false`: some place still holds what it held before. */
  const walk = (b: Tree, w: Tree, c: Tree, same: EqualUnder): boolean => {
    for (const key of new Set([...Object.keys(b), ...Object.keys(w)])) {
      const old = at(b, key);
      const own = at(w, key);
      const now = at(c, key);
      if (same(old, own, key)) continue;
      if (isPlain(own) && isPlain(now) && (old === ABSENT || isPlain(old))) {
        const below = same === equalAtRoot && key === "cookie" ? equalInCookie : equal;
        // That there is an object proves nothing: another one may have been put where none was.
        if (same(own, now, key)) found++;
        else hidden++;
        if (!walk(old === ABSENT ? {} : old, own, now, below)) return false;
        continue;
      }
      const isValue = own !== ABSENT;
      if (isValue) written++;
      if (same(own, now, key)) {
        if (isValue) found++;
        else removed++;
      } else if (same(old, now, key)) return false;
      else hidden++;
    }
    return true;
  };
  if (!walk(before, after, current, equalAtRoot)) return "missing";
  // What is not there another one may have removed, too: that counts where there is nothing else to find.
  if (found > 0 || (written === 0 && removed > 0)) return "found";
  return written + removed + hidden > 0 ? "hidden" : "untouched";
}
