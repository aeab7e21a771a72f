import { inspect } from "node:util";
import { Redis } from "ioredis";
import type { RedisClient } from "../../lib/index.js";
import { startRedis } from "../../tools/redis-server.js";
import { load, pair } from "../support/requests.js";
import { connect, makeStore, refusal, sessionOf } from "../support/store.js";

/** `{ in: { in: … } }`, with `leaf` in the innermost one. */
function nested(depth: number, leaf: unknown): object {
  let tree: object = { leaf };
  for (let level = 0; level < depth; level++) tree = { in: tree };
  return tree;
}

function innermost(tree: unknown): Record<string, unknown> {
  let place = tree as Record<string, unknown>;
  while ("in" in place) place = place.in as Record<string, unknown>;
  return place;
}

describe("a deeply nested session", () => {
  test("is merged", async () => {
    const { mine, other, saveMine, saveOther, stored } = await pair({ form: nested(1500, 0) });
    Object.assign(innermost(other.form), { leaf: 1, other: 1 });
    await saveOther();
    Object.assign(innermost(mine.form), { leaf: 2, mine: 1 });
    expect(await saveMine()).toBe("MERGED");
    expect(innermost((await stored())?.form)).toEqual({ leaf: 2, other: 1, mine: 1 });
  });

  test("is refused where it is too deep for the stack, and nothing is stored", async () => {
    const { here, sid, mine, other, stored } = await pair({ n: 0 });
    mine.form = nested(10_000, 0);
    expect(await refusal(here.set(sid, mine))).toMatchObject({ code: "ERR_INVALID_SESSION" });
    expect(await stored()).toMatchObject({ n: 0 });
    expect(other.form).toBeUndefined();
  });

  test("that the serializer can write, and that is too deep to be compared, is refused", async () => {
    const levels = (text: string) => nested(Number(/\d+$/.exec(text)?.[0] ?? 0), 0);
    /** Writes how deep `form` is instead of what is in it. */
    const serializer = {
      parse: (text: string) => ({ ...JSON.parse(text.replace(/#.*/, "")), form: levels(text) }),
      stringify: (session: object) => {
        const { form, ...rest } = session as { form?: unknown };
        let depth = 0;
        for (let place = form; place && "in" in (place as object); depth++) {
          place = (place as { in: unknown }).in;
        }
        return `${JSON.stringify(rest)}#${depth}`;
      },
    };
    const store = makeStore(await connect(), { serializer });
    await store.set("sid", sessionOf({ form: nested(100_000, 0) }, { path: "/" }));
    const mine = await load(store, "sid");
    mine.form = nested(90_000, 0);
    expect(await refusal(store.set("sid", mine))).toMatchObject({
      code: "ERR_INVALID_SESSION",
      cause: { name: "RangeError" },
    });
    expect(await store.get("sid")).not.toBeNull();
  });
});

test("no error names a session id, not even where Redis or a client quotes the command", async () => {
  const sid = "a-session-id-that-nobody-may-read-in-a-log";
  const disabled = ["GET", "DEL"].flatMap((name) => ["--rename-command", name, ""]);
  const server = await startRedis({ args: disabled });
  const ioredis = new Redis(server.url);
  try {
    for (const client of [await connect(6, server.url), ioredis]) {
      const store = makeStore<RedisClient>(client);
      for (const error of [await refusal(store.get(sid)), await refusal(store.destroy(sid))]) {
        expect(error.code).toBe("ERR_REDIS");
        const logged = inspect(error, { depth: null });
        expect(logged).toMatch(/cause.*unknown command/s);
        expect(logged).not.toContain("nobody-may-read");
      }
    }
  } finally {
    ioredis.disconnect();
    await server.stop();
  }
});

describe("a session id", () => {
  test.each([
    ["line breaks", "a\nb\r\nc"],
    ["a NUL", "a\0b"],
    ["characters of four bytes", "\u{1f600}\u{10ffff}"],
    ["what a pattern takes for something else", "*?[a-z]\\"],
    ["braces", "{a}{b}"],
    ["a megabyte", "x".repeat(1_000_000)],
    ["the name of a prototype", "__proto__"],
  ])("may hold %s", async (_, sid) => {
    const store = makeStore(await connect());
    expect(await store.set(sid, sessionOf({ n: 1 }, { path: "/" }))).toBe("OK");
    const loaded = await load(store, sid);
    loaded.n = 2;
    expect(await store.set(sid, loaded)).toBe("OK");
    expect(await store.touch(sid, loaded)).toBe("OK");
    expect(await store.ids()).toEqual([sid]);
    expect(await store.all()).toMatchObject([{ n: 2, id: sid }]);
    expect(await store.destroy(sid)).toBe(1);
    expect(await store.get(sid)).toBeNull();
  });

  test("that is the same as another one in Redis is refused", async () => {
    const store = makeStore(await connect());
    await store.set("\ufffd", sessionOf({ n: 1 }));
    for (const sid of ["\ud800", "\udfff"]) {
      for (const operation of [store.get(sid), store.destroy(sid), store.set(sid, sessionOf())]) {
        expect(await refusal(operation)).toMatchObject({ code: "ERR_INVALID_SID" });
      }
    }
    expect(await store.get("\ufffd")).toMatchObject({ n: 1 });
  });
});
