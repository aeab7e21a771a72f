import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as delay } from "node:timers/promises";
import express from "express";
import supertest from "supertest";
import type { Serializer } from "../../lib/index.js";
import { cacheBench } from "../support/cache.js";
import {
  type AppSession,
  connect,
  freshPrefix,
  inMs,
  makeApp,
  makeStore,
  read,
  refusal,
  sessionOf,
  type TestClient,
  until,
  visit,
} from "../support/store.js";
import { fromCache, type TrackingClient, warm } from "../support/tracking.js";

const bench = cacheBench();

describe.each([5, 6] as const)("with redis %i", (version) => {
  let client: TestClient;
  beforeAll(async () => {
    client = await connect(version, bench.server.url);
  });

  test("get and a touch with nothing to send wait for nothing but this turn, and send nothing", async () => {
    const store = await bench.warmStore(client);
    const session = (await store.get("sid")) as AppSession;
    await store.touch("sid", session);
    await warm(store, "sid");
    const before = await bench.commandsRun();
    const calls: unknown[] = [];
    const order: string[] = [];
    setImmediate(() => order.push("before"));
    const got: unknown = store.get("sid", (...args) => {
      calls.push(args);
      order.push("answer");
      store.touch("sid", args[1] as AppSession, (...more) => calls.push(more));
    });
    setImmediate(() => order.push("after"));
    expect(calls).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual(["before", "answer", "after"]);
    expect(calls).toEqual([
      [null, expect.objectContaining({ n: 1 })],
      [null, "OK"],
    ]);
    expect(got).toBeUndefined();
    expect(await store.get("sid")).toMatchObject({ n: 1 });
    expect(await bench.commandsRun()).toBe(before);
  });

  test("the answers of one turn come together, each to its own request", async () => {
    const store = await bench.warmStore(client);
    const requests = new AsyncLocalStorage<number>();
    const seen: unknown[] = [];
    const asked = Array.from({ length: 5 }, (_, index) =>
      requests.run(index, async () => {
        store.get("sid", (_error, session) => seen.push([requests.getStore(), session?.cookie]));
        await store.get("sid");
        seen.push(requests.getStore());
      }),
    );
    expect(seen).toEqual([]);
    await Promise.all(asked);
    const callbacks = seen.filter(Array.isArray).map(([request]: unknown[]) => request);
    expect(callbacks).toEqual([0, 1, 2, 3, 4]);
    expect(seen.filter((one) => typeof one === "number")).toEqual([0, 1, 2, 3, 4]);
  });

  test("a session that another process changes, renews, ends or flushes is read again", async () => {
    const store = await bench.warmStore(client);
    const key = `${store.prefix}sid`;
    await bench.raw.set(key, JSON.stringify(sessionOf({ n: 2 })));
    await until(async () => ((await store.get("sid")) as AppSession).n === 2);
    await warm(store, "sid");
    const before = await bench.commandsRun();
    await bench.raw.send("PEXPIRE", key, "60000");
    await until(
      async () => (await store.get("sid")) !== null && (await bench.commandsRun()) > before + 1,
    );
    await warm(store, "sid");
    expect(await makeStore(bench.other, { prefix: store.prefix }).destroy("sid")).toBe(1);
    await until(async () => (await store.get("sid")) === null);
    for (const flush of ["FLUSHALL", "FLUSHDB"]) {
      await store.set("sid", sessionOf());
      await warm(store, "sid");
      await bench.raw.send(flush);
      await until(async () => (await store.get("sid")) === null);
    }
  });

  test("bytes are cached as bytes", async () => {
    const serializer: Serializer = {
      binary: true,
      stringify: (session) => Buffer.from(JSON.stringify(session), "utf16le"),
      parse: (bytes: Buffer) => JSON.parse(bytes.toString("utf16le")) as unknown,
    };
    const store = await bench.warmStore(client, { serializer });
    expect(fromCache(store, "sid")).toMatchObject({ n: 1 });
    await bench.raw.send("DEL", `${store.prefix}sid`);
    await until(async () => (await store.get("sid")) === null);
  });
});

describe("what is in the cache", () => {
  let client: TestClient;
  beforeAll(async () => {
    client = await connect(6, bench.server.url);
  });

  test("each reader gets a copy of its own", async () => {
    const store = bench.cached(client);
    await store.set("sid", sessionOf({ list: [1] }));
    await warm(store, "sid");
    const one = fromCache(store, "sid") as AppSession;
    (one.list as number[]).push(2);
    one.cookie.path = "/elsewhere";
    expect(fromCache(store, "sid")).toMatchObject({ list: [1] });
    expect(fromCache(store, "sid")?.cookie.path).toBeUndefined();
    expect(await store.get("sid")).toMatchObject({ list: [1] });
  });

  test("each load is a version of its own: parallel requests merge", async () => {
    const store = await bench.warmStore(client);
    const one = fromCache(store, "sid") as AppSession;
    const two = fromCache(store, "sid") as AppSession;
    one.one = 1;
    two.two = 2;
    expect(await store.set("sid", one)).toBe("OK");
    expect(await store.set("sid", two)).toBe("MERGED");
    expect(await store.get("sid")).toMatchObject({ n: 1, one: 1, two: 2 });
  });

  test("a session from the cache that was changed elsewhere is merged, one that ended there is gone", async () => {
    const store = await bench.warmStore(client);
    const elsewhere = makeStore(bench.other, { prefix: store.prefix });
    const stale = fromCache(store, "sid") as AppSession;
    const theirs = (await elsewhere.get("sid")) as AppSession;
    await elsewhere.set("sid", Object.assign(theirs, { theirs: 1 }));
    expect(await store.set("sid", Object.assign(stale, { mine: 1 }))).toBe("MERGED");
    expect(await store.get("sid")).toMatchObject({ theirs: 1, mine: 1 });
    await elsewhere.destroy("sid");
    expect(await store.set("sid", Object.assign(stale, { mine: 2 }))).toBe("GONE");
    expect(await store.get("sid")).toBeNull();
  });

  test("a write fills nothing, it removes", async () => {
    const store = await bench.warmStore(client);
    const writes: [string, () => Promise<unknown>][] = [
      ["set", () => store.set("sid", sessionOf({ n: 2 }))],
      [
        "save",
        () => store.get("sid").then((one) => store.set("sid", { ...one, n: 3 } as AppSession)),
      ],
      ["touch", () => store.touch("sid", sessionOf({}, { expires: inMs(3_600_000) }))],
      ["destroy", () => store.destroy("sid")],
    ];
    for (const [name, write] of writes) {
      await warm(store, "sid");
      await write();
      expect([name, fromCache(store, "sid")]).toEqual([name, undefined]);
      // What that started must not fill the cache behind the next one's back.
      await store.get("sid");
    }
    expect(await store.get("sid")).toBeNull();
    await store.set("sid", sessionOf());
    await warm(store, "sid");
    expect(await store.clear()).toBe(1);
    expect(fromCache(store, "sid")).toBeUndefined();
  });

  test("what is missing is not cached", async () => {
    const store = await bench.warmStore(client);
    expect(await store.get("nobody")).toBeNull();
    expect(fromCache(store, "nobody")).toBeUndefined();
    await bench.raw.set(`${store.prefix}nobody`, JSON.stringify(sessionOf({ now: "somebody" })));
    expect(await store.get("nobody")).toMatchObject({ now: "somebody" });
  });

  test("there are at most max, the latest used", async () => {
    const store = bench.cached(client, { cache: { max: 2 } });
    for (const sid of ["a", "b", "c"]) await store.set(sid, sessionOf());
    await warm(store, "a");
    await warm(store, "b");
    expect(fromCache(store, "a")).toBeDefined();
    await warm(store, "c");
    expect(fromCache(store, "a")).toBeDefined();
    expect(fromCache(store, "b")).toBeUndefined();
  });

  test("a value that is no session is refused each time", async () => {
    const store = await bench.warmStore(client);
    await bench.raw.set(`${store.prefix}broken`, "{");
    for (let time = 0; time < 3; time++) {
      expect(await refusal(store.get("broken"))).toMatchObject({ code: "ERR_CORRUPT_SESSION" });
    }
    expect(await refusal(store.get(""))).toMatchObject({ code: "ERR_INVALID_SID" });
  });

  test("with an async serializer get waits for it alone", async () => {
    const serializer: Serializer = {
      stringify: async (session) => JSON.stringify(session),
      parse: async (text) => JSON.parse(text) as unknown,
    };
    const store = bench.cached(client, { serializer });
    await store.set("sid", sessionOf({ n: 1 }));
    await until(async () => {
      const before = await bench.commandsRun();
      expect(await store.get("sid")).toMatchObject({ n: 1 });
      return (await bench.commandsRun()) === before;
    });
    const called = await new Promise((resolve) => {
      store.get("sid", (...args) => resolve(args));
    });
    expect(called).toEqual([null, expect.objectContaining({ n: 1 })]);
    await bench.raw.send("DEL", `${store.prefix}sid`);
    await until(async () => (await store.get("sid")) === null);
  });

  test("the key prefix of the client counts", async () => {
    const keyPrefix = freshPrefix();
    const mine = withKeyPrefix(client, keyPrefix);
    await mine.connect();
    try {
      const store = await bench.warmStore(mine);
      expect(await bench.raw.exists(`${keyPrefix}${store.prefix}sid`)).toBe(true);
      await bench.raw.send("DEL", `${keyPrefix}${store.prefix}sid`);
      await until(async () => (await store.get("sid")) === null);
    } finally {
      mine.destroy();
    }
  });

  test("a client that has another database selected loses no session", async () => {
    const mine = await connect(6, bench.server.url);
    await (mine as unknown as { select(db: number): Promise<unknown> }).select(3);
    const store = bench.cached(mine);
    await store.set("sid", sessionOf());
    for (let time = 0; time < 20; time++) {
      expect(await store.get("sid")).not.toBeNull();
      await delay(5);
    }
  });

  test("a request through express that only reads sends nothing, and its response is written at once", async () => {
    const store = bench.cached(client);
    let writes = 0;
    const app = express();
    // In front of the session: it takes a part of the body in advance when it has to wait.
    app.use((_, res, next) => {
      const spy = jest.spyOn(res, "write");
      res.on("finish", () => {
        writes = spy.mock.calls.length;
      });
      next();
    });
    app.use(makeApp(store, { "/visit": visit, "/read": read }, { cookie: { maxAge: 3_600_000 } }));
    const agent = supertest.agent(app);
    await agent.get("/visit");
    await until(async () => {
      const before = await bench.commandsRun();
      const { body } = (await agent.get("/read")) as { body: unknown };
      expect(body).toEqual({ visits: 1 });
      return (await bench.commandsRun()) === before;
    });
    expect(writes).toBe(0);
    await agent.get("/visit");
    expect((await agent.get("/read")).body).toEqual({ visits: 2 });
  });
});

function withKeyPrefix(client: TestClient, keyPrefix: string): TrackingClient {
  const mine = (client as unknown as { duplicate(options: object): TrackingClient }).duplicate({
    keyPrefix,
  });
  mine.on("error", () => {});
  return mine;
}

test("a store without the option has none, and close() is nothing", async () => {
  const store = makeStore(bench.other);
  await store.set("sid", sessionOf());
  await store.get("sid");
  expect(fromCache(store, "sid")).toBeUndefined();
  store.close();
  expect(await store.get("sid")).not.toBeNull();
});
