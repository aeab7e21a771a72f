import { deepStrictEqual } from "node:assert";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { merge, reportMerge, sameSession } from "../../lib/session/merge.js";
import type { Tree } from "../../lib/session/trees.js";

/** An own property whatever its name: what JSON.parse makes of `{"__proto__": …}`. */
function own(entries: readonly (readonly [string, unknown])[]): Tree {
  const tree: Tree = {};
  for (const [key, value] of entries) {
    Object.defineProperty(tree, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  return tree;
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const key of Object.getOwnPropertyNames(value)) {
      freeze(Object.getOwnPropertyDescriptor(value, key)?.value);
    }
  }
  return value;
}

const noUser = (_session: Tree): unknown => undefined;

/** Merges frozen inputs: a merge that writes to one of them throws. */
function merged(ancestor: Tree, current: Tree, mine: Tree, userOf = noUser): Tree | null {
  return merge({
    ancestor: freeze(ancestor),
    current: freeze(current),
    mine: freeze(mine),
    userOf,
  });
}

const KEYS = ["a", "b", "c", "id", "_id", "__proto__", "constructor", "toString", "cookie"];

function trees(keys: readonly string[]): fc.Arbitrary<Tree> {
  const { tree } = fc.letrec<{ tree: Tree; value: unknown }>((tie) => ({
    tree: fc
      .uniqueArray(fc.tuple(fc.constantFrom(...keys), tie("value")), {
        selector: ([key]) => key,
        maxLength: 4,
      })
      .map(own),
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.oneof(
        fc.integer({ min: 0, max: 3 }),
        fc.constantFrom("", "x", null, true, undefined),
        fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 2 }),
        fc.integer({ min: 0, max: 2 }).map((ms) => new Date(ms)),
      ),
      tie("tree"),
    ),
  }));
  return tree;
}

const anyTree = trees(KEYS);
/** Without the one key that has rules of its own. */
const plainTree = trees(KEYS.filter((key) => key !== "cookie"));

function at(tree: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Tree)[key]
        : undefined,
    tree,
  );
}

function isPlain(value: unknown): value is Tree {
  return (
    typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

/** Every place of a tree that holds something other than a plain object. */
function leaves(tree: Tree, path: string[] = []): string[][] {
  return Object.keys(tree).flatMap((key) => {
    const value = tree[key];
    return isPlain(value) ? leaves(value, [...path, key]) : [[...path, key]];
  });
}

function change(tree: Tree, key: string, value: unknown): Tree {
  return own([...Object.entries(tree).filter(([name]) => name !== key), [key, value]]);
}

const check = <Ts extends [unknown, ...unknown[]]>(property: fc.IProperty<Ts>) =>
  fc.assert(property, { numRuns: 1000 });

describe("a merge", () => {
  test("keeps the current session where this request changed nothing", () => {
    check(fc.property(plainTree, plainTree, (a, c) => deepStrictEqual(merged(a, c, a), c)));
  });

  test("is what this request made where nobody else changed anything", () => {
    check(fc.property(plainTree, plainTree, (a, m) => deepStrictEqual(merged(a, a, m), m)));
  });

  test("of twice the same change is that change", () => {
    check(fc.property(plainTree, plainTree, (a, x) => deepStrictEqual(merged(a, x, x), x)));
  });

  test("made again with its own result changes nothing: a repeated save is harmless", () => {
    check(
      fc.property(plainTree, plainTree, plainTree, (a, c, m) => {
        const once = merged(a, c, m) as Tree;
        deepStrictEqual(merged(a, once, m), once);
      }),
    );
  });

  test("of changes to different keys does not depend on who came first", () => {
    check(
      fc.property(plainTree, plainTree, plainTree, (a, x, y) => {
        const firstHalf = new Set(["a", "id", "__proto__", "toString"]);
        const c = own([
          ...Object.entries(x).filter(([key]) => firstHalf.has(key)),
          ...Object.entries(a).filter(([key]) => !firstHalf.has(key)),
        ]);
        const m = own([
          ...Object.entries(a).filter(([key]) => firstHalf.has(key)),
          ...Object.entries(y).filter(([key]) => !firstHalf.has(key)),
        ]);
        const result = merged(a, c, m) as Tree;
        deepStrictEqual(result, merged(a, m, c));
        for (const key of KEYS) {
          deepStrictEqual(at(result, [key]), at(firstHalf.has(key) ? x : y, [key]));
        }
        // The same one level down, where all three are versions of one object.
        fc.pre(isSame(a, c) && isSame(a, m));
        deepStrictEqual(merged({ in: a }, { in: c }, { in: m }), { in: result });
      }),
    );
  });

  test("holds no leaf that neither of the two sessions holds", () => {
    check(
      fc.property(plainTree, plainTree, plainTree, (a, c, m) => {
        const result = merged(a, c, m) as Tree;
        for (const path of leaves(result)) {
          const value = at(result, path);
          expect([at(c, path), at(m, path)].some((from) => isDeepStrictEqual(from, value))).toBe(
            true,
          );
        }
      }),
    );
  });

  test("goes to this request, the later writer, where both changed a leaf", () => {
    check(
      fc.property(plainTree, fc.integer(), fc.integer(), (a, x, y) => {
        const result = merged(change(a, "n", "old"), change(a, "n", x), change(a, "n", y));
        deepStrictEqual(result, change(a, "n", y));
      }),
    );
  });

  test("lets the removal of an object win over any change in it, whoever removed it", () => {
    const inside = plainTree.filter((tree) => !Object.hasOwn(tree, "id"));
    const removals = fc.constantFrom<unknown>(undefined, null, false, [], "gone");
    check(
      fc.property(plainTree, inside, inside, removals, (a, before, after, removed) => {
        fc.pre(isSame(before, after) && !isDeepStrictEqual(before, after));
        const from = change(a, "user", before);
        const used = change(a, "user", after);
        const out =
          removed === undefined
            ? own(Object.entries(a).filter(([key]) => key !== "user"))
            : change(a, "user", removed);
        deepStrictEqual(merged(from, used, out), out);
        deepStrictEqual(merged(from, out, used), out);
      }),
    );
  });

  test("drops a change in an object that has become another one, by id or _id", () => {
    check(
      fc.property(
        plainTree,
        fc.constantFrom("id", "_id"),
        fc.integer(),
        fc.integer(),
        (a, name, one, two) => {
          fc.pre(one !== two);
          const from = change(a, "user", { [name]: one, role: "reader" });
          const other = change(a, "user", { [name]: two, role: "guest" });
          const promoted = change(a, "user", { [name]: one, role: "admin" });
          deepStrictEqual(merged(from, other, promoted), other);
          deepStrictEqual(merged(from, promoted, other), other);
        },
      ),
    );
  });

  test("is refused as a whole where the session changed its user meanwhile", () => {
    const userOf = ({ user }: Tree) => user;
    check(
      fc.property(plainTree, plainTree, plainTree, fc.integer(), fc.integer(), (a, c, m, x, y) => {
        fc.pre(x !== y);
        const mine = change(m, "user", x);
        expect(merged(change(a, "user", x), change(c, "user", y), mine, userOf)).toBeNull();
        expect(merged(change(a, "user", x), c, mine, userOf)).toBeNull();
        expect(merged(a, change(c, "user", x), m, userOf)).toBeNull();
        expect(merged(change(a, "user", x), change(c, "user", x), m, userOf)).not.toBeNull();
      }),
    );
  });

  test("never changes a prototype, its inputs, or what a key is called", () => {
    check(
      fc.property(anyTree, anyTree, anyTree, (a, c, m) => {
        const names = Object.getOwnPropertyNames(Object.prototype);
        const result = merged(a, c, m) as Tree;
        expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
        expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(names);
        reportMerge(a, c, m, freeze(result));
        sameSession(a, c);
      }),
    );
    const attack = JSON.parse(
      '{"a":{"__proto__":{"admin":true}},"__proto__":{"admin":true}}',
    ) as Tree;
    const result = merged({ a: { x: 1 } }, { a: { x: 2 } }, attack) as Tree;
    deepStrictEqual(result, attack);
    expect((result as { admin?: unknown }).admin).toBeUndefined();
    expect((result.a as { admin?: unknown }).admin).toBeUndefined();
  });
});

function isSame(a: Tree, b: Tree): boolean {
  return ["id", "_id"].every(
    (name) =>
      Object.hasOwn(a, name) === Object.hasOwn(b, name) &&
      isDeepStrictEqual(at(a, [name]), at(b, [name])),
  );
}

describe("by example", () => {
  const date = (ms: number) => new Date(ms);
  test.each<[string, Tree, Tree, Tree, Tree]>([
    ["additions of both stay", {}, { a: 1 }, { b: 2 }, { a: 1, b: 2 }],
    [
      "additions to one object stay",
      { o: {} },
      { o: { a: 1 } },
      { o: { b: 2 } },
      { o: { a: 1, b: 2 } },
    ],
    [
      "an object that both began holds both",
      {},
      { o: { a: 1 } },
      { o: { b: 2 } },
      { o: { a: 1, b: 2 } },
    ],
    [
      "an object that both began for different ids is the later one",
      {},
      { o: { id: 1, a: 1 } },
      { o: { id: 2, b: 2 } },
      { o: { id: 2, b: 2 } },
    ],
    ["a deletion is a change", { a: 1, b: 1 }, { a: 1, b: 2 }, { b: 1 }, { b: 2 }],
    ["a deletion of the other stays", { a: 1, b: 1 }, { b: 1 }, { a: 1, b: 2 }, { b: 2 }],
    [
      "a deletion deep inside stays",
      { o: { p: { a: 1, b: 1 } } },
      { o: { p: { a: 1 } } },
      { o: { p: { a: 2, b: 1 } } },
      { o: { p: { a: 2 } } },
    ],
    ["a deletion and a change of one leaf: the later writer", { a: 1 }, { a: 2 }, {}, {}],
    ["a change and a deletion of one leaf: the later writer", { a: 1 }, {}, { a: 2 }, { a: 2 }],
    ["arrays are replaced whole", { l: [1] }, { l: [1, 2] }, { l: [1, 3] }, { l: [1, 3] }],
    [
      "an array of the other stays",
      { l: [1], x: 1 },
      { l: [1, 2], x: 1 },
      { l: [1], x: 2 },
      { l: [1, 2], x: 2 },
    ],
    [
      "objects in arrays are not merged",
      { l: [{ a: 1 }] },
      { l: [{ a: 2 }] },
      { l: [{ a: 1, b: 1 }] },
      { l: [{ a: 1, b: 1 }] },
    ],
    [
      "a Date is a leaf",
      { d: date(1), x: 1 },
      { d: date(2), x: 1 },
      { d: date(1), x: 2 },
      { d: date(2), x: 2 },
    ],
    ["an equal Date is no change", { d: date(1) }, { d: date(5) }, { d: date(1) }, { d: date(5) }],
    ["a Date becomes another", { d: date(1) }, { d: date(2) }, { d: date(3) }, { d: date(3) }],
    ["null and absent differ", { a: null }, { a: null, b: 1 }, {}, { b: 1 }],
    [
      "an object replaced by null stays null",
      { o: { a: 1 } },
      { o: null },
      { o: { a: 2 } },
      { o: null },
    ],
    ["an object replaced by an array", { o: { a: 1 } }, { o: { a: 2 } }, { o: [1] }, { o: [1] }],
    [
      "an id that appears makes another object",
      { o: { a: 1 } },
      { o: { id: 1, a: 1 } },
      { o: { a: 2 } },
      { o: { id: 1, a: 1 } },
    ],
    [
      "both changed to the same other user: changes of both stay",
      { user: { id: 1, a: 1 } },
      { user: { id: 2, b: 1 } },
      { user: { id: 2, c: 1 } },
      { user: { id: 2, b: 1, c: 1 } },
    ],
    [
      "the session's own id names no object",
      { id: 1, a: 1 },
      { id: 2, a: 1 },
      { id: 1, a: 2 },
      { id: 2, a: 2 },
    ],
  ])("%s", (_name, a, c, m, result) => {
    deepStrictEqual(merged(a, c, m), result);
  });

  const cookie = (
    originalMaxAge: number | null,
    expires: string | null,
    more: Tree = {},
  ): Tree => ({
    cookie: { originalMaxAge, expires, httpOnly: true, path: "/", ...more },
  });

  test("cookie.expires follows the originalMaxAge that won", () => {
    const old = cookie(1000_000, "old");
    const long = cookie(9000_000, "long");
    const mineNow = cookie(999_500, "mine");
    deepStrictEqual(merged(old, long, mineNow), long);
    deepStrictEqual(merged(old, cookie(1000_000, "other"), long), long);
    deepStrictEqual(merged(old, long, cookie(5000_000, "both")), cookie(5000_000, "both"));
    deepStrictEqual(merged(old, cookie(null, null), mineNow), cookie(null, null));
    deepStrictEqual(merged(cookie(null, null), old, cookie(null, null)), old);
  });

  test("other settings of the cookie merge one by one", () => {
    deepStrictEqual(
      merged(
        cookie(1000_000, "x"),
        cookie(1000_000, "x", { domain: "a.example" }),
        cookie(1000_000, "x", { sameSite: "lax" }),
      ),
      cookie(1000_000, "x", { domain: "a.example", sameSite: "lax" }),
    );
  });

  test("a cookie that lost its age has no date of another one", () => {
    const mine: Tree = { cookie: { httpOnly: true, path: "/" } };
    const other = cookie(1000_000, "other", { domain: "a.example" });
    deepStrictEqual(merged(cookie(1000_000, "old"), other, mine), {
      cookie: { httpOnly: true, path: "/", domain: "a.example" },
    });
  });

  test("a session that differs in cookie.expires or the drift of a clock is the same", () => {
    expect(sameSession(cookie(5000, "a"), cookie(4001, "b"))).toBe(true);
    expect(sameSession(cookie(5000, "a"), cookie(4000, "a"))).toBe(false);
    expect(sameSession(cookie(null, null), cookie(0, null))).toBe(false);
    expect(sameSession({ expires: 1 }, { expires: 2 })).toBe(false);
    expect(
      sameSession({ in: { cookie: { expires: 1 } } }, { in: { cookie: { expires: 2 } } }),
    ).toBe(false);
    expect(sameSession({ a: undefined }, { b: undefined })).toBe(false);
    expect(sameSession({ a: 1 }, { a: 1, b: 1 })).toBe(false);
  });
});

describe("the report of a merge", () => {
  function report(ancestor: Tree, current: Tree, mine: Tree) {
    return reportMerge(ancestor, current, mine, merged(ancestor, current, mine) as Tree);
  }

  test("names what of the other writer was kept and what was overwritten", () => {
    expect(
      report(
        { a: 1, gone: 1, user: { id: 1, role: "x", seen: 1 }, list: [1] },
        { a: 2, user: { id: 1, role: "y", seen: 2 }, list: [1, 2], added: { deep: 1 } },
        { a: 3, gone: 1, user: { id: 1, role: "x", seen: 3 }, list: [9] },
      ),
    ).toEqual({
      kept: ["/gone", "/user/role", "/added/deep"],
      overwritten: ["/a", "/user/seen", "/list"],
    });
  });

  test("says nothing of what both did alike, and nothing of this request's own changes", () => {
    expect(report({ a: 1, b: 1 }, { a: 2, b: 1 }, { a: 2, b: 2 })).toEqual({
      kept: [],
      overwritten: [],
    });
  });

  test("names an empty object that the other writer began", () => {
    expect(report({}, { cart: {} }, { x: 1 })).toEqual({ kept: ["/cart"], overwritten: [] });
    expect(report({}, { cart: {} }, { cart: { x: 1 } })).toEqual({ kept: [], overwritten: [] });
  });

  test("looks into an object that replaced something else", () => {
    expect(report({ cart: null }, { cart: { x: 1, y: 1 } }, { cart: { y: 2 } })).toEqual({
      kept: ["/cart/x"],
      overwritten: ["/cart/y"],
    });
    expect(report({ cart: null }, { cart: { x: 1 } }, { cart: 5 })).toEqual({
      kept: [],
      overwritten: ["/cart"],
    });
  });

  test("writes places as JSON Pointers", () => {
    expect(report({}, { "a/b": { "c~d": 1 } }, { x: 1 }).kept).toEqual(["/a~1b/c~0d"]);
  });

  test("counts a removed object once, and a change in it as overwritten", () => {
    expect(report({ user: { id: 1, a: 1, b: 1 } }, { user: { id: 1, a: 2, b: 2 } }, {})).toEqual({
      kept: [],
      overwritten: ["/user"],
    });
    expect(report({ user: { a: 1, b: 1 } }, {}, { user: { a: 2, b: 1 } })).toEqual({
      kept: ["/user"],
      overwritten: [],
    });
  });
});

test("how often objects are looked at grows with their number, however deep they are nested", () => {
  let looks = 0;
  const nested = (depth: number, leaf: object): Tree => {
    let tree = leaf;
    for (let level = 0; level < depth; level++) {
      tree = new Proxy(level % 2 ? { in: tree } : { id: tree, beside: { level } }, {
        ownKeys: (target) => {
          looks++;
          return Reflect.ownKeys(target);
        },
      });
    }
    return { tree };
  };
  const looksAt = (depth: number): number => {
    looks = 0;
    const [a, c, m] = [{ n: 0 }, { n: 0, c: 1 }, { n: 0, m: 1 }].map((leaf) => nested(depth, leaf));
    const result = merge({
      ancestor: a as Tree,
      current: c as Tree,
      mine: m as Tree,
      userOf: noUser,
    });
    reportMerge(a as Tree, c as Tree, m as Tree, result as Tree);
    expect(sameSession(a as Tree, c as Tree)).toBe(false);
    return looks;
  };
  const few = looksAt(40);
  expect(few).toBeGreaterThan(40);
  expect(looksAt(160)).toBeLessThan(5 * few);
});
