import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import type { RedisStore } from "../../lib/index.js";
import { cacheBench } from "../support/cache.js";
import { type AppSession, connect, sessionOf, type TestClient, until } from "../support/store.js";
import { withMember } from "../support/through.js";
import { fromCache, tracked, warm } from "../support/tracking.js";

const bench = cacheBench();

describe("a read under way", () => {
  /** A store whose tracked reads are answered when the test says so, and not before what follows them. */
  async function held() {
    let answer = Promise.resolve();
    let announced = 0;
    const { client } = tracked(await connect(6, bench.server.url), {}, (connection) => {
      connection.on("invalidate", () => announced++);
      const sendCommand: TestClient["sendCommand"] = async (command, options) => {
        const reply = await connection.sendCommand(command, options);
        if (command[0] === "GET") await answer;
        return reply;
      };
      return withMember(connection, { sendCommand });
    });
    const store = await bench.warmStore(client);
    const hold = () => {
      let release = () => {};
      answer = new Promise<void>((resolve) => {
        release = resolve;
      });
      return release;
    };
    return { store, hold, announced: () => announced };
  }

  test("fills nothing when its session is changed elsewhere and that is announced first", async () => {
    const { store, hold, announced } = await held();
    const key = `${store.prefix}sid`;
    await bench.raw.set(key, JSON.stringify(sessionOf({ n: 2 })));
    await until(() => announced() === 1);
    const release = hold();
    const before = await bench.commandsRun();
    const reading = store.get("sid");
    await until(async () => (await bench.commandsRun()) >= before + 2);
    await bench.raw.send("DEL", key);
    await until(() => announced() === 2);
    release();
    expect(await reading).toMatchObject({ n: 2 });
    expect(fromCache(store, "sid")).toBeUndefined();
    expect(await store.get("sid")).toBeNull();
  });

  test("fills nothing when everything is flushed meanwhile", async () => {
    const { store, hold, announced } = await held();
    await store.set("sid", sessionOf({ n: 2 }));
    await until(() => announced() === 1);
    const release = hold();
    const before = await bench.commandsRun();
    const reading = store.get("sid");
    await until(async () => (await bench.commandsRun()) >= before + 2);
    await bench.raw.send("FLUSHALL");
    await until(() => announced() === 2);
    release();
    await reading;
    expect(fromCache(store, "sid")).toBeUndefined();
    expect(await store.get("sid")).toBeNull();
  });

  test.each([
    ["saved", (store: RedisStore) => store.set("sid", sessionOf({ n: 3 })), 3],
    ["ended", (store: RedisStore) => store.destroy("sid"), undefined],
  ])("fills nothing when its session is %s by this process", async (_, write, expected) => {
    const { store, hold } = await held();
    await store.set("sid", sessionOf({ n: 2 }));
    const release = hold();
    const before = await bench.commandsRun();
    const reading = store.get("sid");
    await until(async () => (await bench.commandsRun()) >= before + 2);
    await write(store);
    release();
    await reading;
    expect(((await store.get("sid")) as AppSession | null)?.n).toBe(expected);
  });

  test("that began during a write of this process fills nothing, and is not answered before it", async () => {
    const client = await connect(6, bench.server.url);
    let answer = Promise.resolve();
    const sendCommand: TestClient["sendCommand"] = async (command, options) => {
      const reply = client.sendCommand(command, options);
      if (command[0] === "DEL") await answer;
      return reply;
    };
    const store = await bench.warmStore(withMember(client, { sendCommand }));
    let release = () => {};
    answer = new Promise<void>((resolve) => {
      release = resolve;
    });
    const writing = store.destroy("sid");
    await until(async () => !(await bench.raw.exists(`${store.prefix}sid`)));
    await bench.raw.set(`${store.prefix}sid`, JSON.stringify(sessionOf({ n: 2 })));
    expect(await store.get("sid")).toMatchObject({ n: 2 });
    expect(fromCache(store, "sid")).toBeUndefined();
    release();
    await writing;
    await turn();
    await warm(store, "sid");
  });
});

describe("a session is served no longer than it lives", () => {
  let client: TestClient;
  beforeAll(async () => {
    client = await connect(6, bench.server.url);
  });

  test.each([20, 60, 150, 300])("%i ms, though the server announces the end late", async (px) => {
    const store = await bench.warmStore(client);
    const late: string[] = [];
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const sid = `short${index}`;
        await delay(index);
        await bench.raw.send(
          "SET",
          store.prefix + sid,
          JSON.stringify(sessionOf()),
          "PX",
          String(px),
        );
        // The server counts in whole milliseconds.
        const over = performance.now() + px + 2;
        await store.get(sid);
        while (performance.now() < over) await delay(1);
        if (fromCache(store, sid) !== undefined) late.push(sid);
        expect(await store.get(sid)).toBeNull();
      }),
    );
    expect(late).toEqual([]);
  });

  test("and as long as it lives, when it was renewed", async () => {
    const store = await bench.warmStore(client);
    const key = `${store.prefix}sid`;
    await bench.raw.send("PEXPIRE", key, "150");
    const over = performance.now() + 150;
    await store.get("sid");
    await bench.raw.send("PEXPIRE", key, "60000");
    while (performance.now() < over) await delay(1);
    await warm(store, "sid");
    // Now by this process.
    const own = (await store.get("sid")) as AppSession;
    own.cookie.originalMaxAge = 120_000;
    expect(await store.touch("sid", own)).toBe("OK");
    expect(await bench.raw.pttl(key)).toBeGreaterThan(60_000);
    await warm(store, "sid");
  });

  test("shorter, when another process shortens it", async () => {
    const store = await bench.warmStore(client);
    await bench.raw.send("PEXPIRE", `${store.prefix}sid`, "100");
    await until(async () => (await store.get("sid")) === null);
  });
});
