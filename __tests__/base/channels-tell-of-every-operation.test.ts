import { AsyncLocalStorage } from "node:async_hooks";
import { execFile } from "node:child_process";
import { channel } from "node:diagnostics_channel";
import { join } from "node:path";
import { inspect, promisify } from "node:util";
import type { RedisStore } from "../../lib/index.js";
import { type Packed, pack } from "../support/app-folder.js";
import { cacheBench } from "../support/cache.js";
import { type Channels, listen } from "../support/channels.js";
import { compares, load, pair, warmUp } from "../support/requests.js";
import { startServer } from "../support/servers.js";
import {
  connect,
  inMs,
  makeStore,
  newClient,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  url,
} from "../support/store.js";
import { through } from "../support/through.js";

let client: TestClient;
let channels: Channels;
beforeAll(async () => {
  client = await connect();
  await warmUp(makeStore(client) as RedisStore);
});
beforeEach(() => {
  channels = listen();
});
afterEach(() => channels.stop());

const bench = cacheBench();

describe("an operation says what became of it", () => {
  test("get: hit, miss", async () => {
    const store = makeStore(client, { name: "mine" });
    await store.set("sid", sessionOf({ n: 1 }));
    channels.outcomes();
    await store.get("sid");
    expect(channels.last).toMatchObject({
      operation: "get",
      store: "mine",
      outcome: "hit",
      roundTrips: 1,
      bytes: JSON.stringify(sessionOf({ n: 1 })).length,
    });
    await store.get("other");
    expect(channels.last).toMatchObject({ outcome: "miss", roundTrips: 1, bytes: 0 });
    expect(channels.outcomes()).toEqual(["get hit", "get miss"]);
  });

  test("get: cached, with what it read and without a round trip", async () => {
    const store = await bench.warmStore(await connect(6, bench.server.url));
    channels.outcomes();
    await store.get("sid");
    expect(channels.outcomes()).toEqual(["get cached"]);
    const bytes = JSON.stringify(sessionOf({ n: 1 })).length;
    expect(channels.last).toMatchObject({ roundTrips: 0, bytes });
    // A miss is asked for on the app's own connection too.
    await store.get("nobody");
    expect(channels.last).toMatchObject({ outcome: "miss", roundTrips: 2 });
  });

  test("set: OK, MERGED, GONE and why", async () => {
    const { saveMine, saveOther, mine, other, here, sid } = await pair({});
    mine.a = 1;
    other.b = 2;
    channels.outcomes();
    await saveMine();
    await saveOther();
    await here.destroy(sid);
    other.b = 3;
    await saveOther();
    expect(channels.outcomes()).toEqual(["set OK", "set MERGED", "destroy removed", "set GONE"]);
    expect(channels.last).toMatchObject({ reason: "missing", bytes: 0 });
    await here.set("ended", sessionOf({}, { expires: inMs(-1) }));
    expect(channels.last).toMatchObject({ outcome: "GONE", reason: "expired" });
  });

  test("set: how many rounds it took, and how much it wrote in the end", async () => {
    const { saveMine, saveOther, mine, other, stored } = await pair({});
    mine.a = 1;
    other.b = 2;
    await saveMine();
    expect(channels.last).toMatchObject({ roundTrips: 1, conflicts: 0, overwritten: 0 });
    await saveOther();
    const bytes = JSON.stringify(await stored()).length;
    // Where the server compares by itself, one to hear that it differs, and one to hear what is there.
    const roundTrips = (await compares(rawOf(client).send)) ? 3 : 2;
    expect(channels.last).toMatchObject({ roundTrips, conflicts: 1, overwritten: 0, bytes });
  });

  test.each(["merge", "overwrite"] as const)(
    "set: a round trip each, and what was written, with conflict: %p",
    async (conflict) => {
      const store = makeStore(client, { conflict });
      const byHand = sessionOf({ n: 1 });
      await store.set("sid", byHand);
      expect(channels.last).toMatchObject({ roundTrips: 1, bytes: JSON.stringify(byHand).length });
      const loaded = await load(store, "sid");
      loaded.n = 22;
      await store.set("sid", loaded);
      const written = (await rawOf(client).get(`${store.prefix}sid`)) ?? "";
      expect(channels.last).toMatchObject({ roundTrips: 1, bytes: written.length });
      // Nothing has changed: it is only a renewal.
      await store.set("sid", loaded);
      expect(channels.last).toMatchObject({ outcome: "OK", roundTrips: 1, bytes: 0 });
    },
  );

  test("touch: renewed, skipped, EXPIRED", async () => {
    const writer = makeStore(client);
    await writer.set("sid", sessionOf());
    // Another process, which does not know when the session was last renewed.
    const store = makeStore(client, { prefix: writer.prefix });
    const session = await load(store, "sid");
    channels.outcomes();
    await store.touch("sid", session);
    expect(channels.last.roundTrips).toBe(1);
    await store.touch("sid", session);
    expect(channels.last.roundTrips).toBe(0);
    await store.touch("nobody", sessionOf());
    expect(channels.outcomes()).toEqual(["touch renewed", "touch skipped", "touch EXPIRED"]);
  });

  test("destroy: removed, missing", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf());
    channels.outcomes();
    await store.destroy("sid");
    await store.destroy("sid");
    expect(channels.outcomes()).toEqual(["destroy removed", "destroy missing"]);
  });

  test("an error: its code, and nothing of one that a function of the app threw", async () => {
    const store = makeStore(client);
    await rawOf(client).set(`${store.prefix}corrupt`, "no session");
    await refusal(store.get("corrupt"));
    expect(channels.last).toMatchObject({ outcome: "error", code: "ERR_CORRUPT_SESSION" });
    await refusal(store.get(undefined as unknown as string));
    expect(channels.last).toMatchObject({ code: "ERR_INVALID_SID", handle: "" });
    await refusal(store.touch("sid", 7 as never));
    expect(channels.last).toMatchObject({ operation: "touch", code: "ERR_INVALID_SESSION" });
    const unconnected = makeStore(newClient(6).client, { timeout: 20 });
    await refusal(unconnected.destroy("sid"));
    expect(channels.last).toMatchObject({ outcome: "error", code: "ERR_UNAVAILABLE" });

    const own = Object.assign(new Error("SECRET"), { code: "SECRET" });
    const fail = () => {
      throw own;
    };
    const { saveMine, saveOther, mine, other } = await pair({}, { conflict: fail });
    mine.a = 1;
    other.b = 2;
    await saveMine();
    await refusal(saveOther());
    expect(channels.last.code).toBe("other");
    expect(inspect(channels.last, { showHidden: true, depth: 9 })).not.toContain("SECRET");
  });

  test("how long it took, in seconds, and whose it was", async () => {
    const store = makeStore(client);
    const before = performance.now();
    await store.get("sid");
    const took = (performance.now() - before) / 1000;
    expect(channels.last.seconds).toBeGreaterThan(0);
    expect(channels.last.seconds).toBeLessThanOrEqual(took);
    expect(channels.last.handle).toMatch(/^h[\w-]{43}$/);
    const { handle } = channels.last;
    await store.get("other");
    expect(channels.last.handle).not.toBe(handle);
    expect(JSON.parse(JSON.stringify(channels.last))).toMatchObject({
      handle: channels.last.handle,
      outcome: "miss",
    });
  });
});

describe("everything is told before the app gets the result", () => {
  const PHASES = ["start", "end", "asyncStart", "asyncEnd"];
  const phases = (operation: string) => PHASES.map((phase) => `${operation}:${phase}`);
  const told = () => channels.told.map(([phase]) => phase);

  test("as a promise", async () => {
    await makeStore(client).get("sid");
    expect(told()).toEqual(phases("get"));
  });

  test("as a call of its callback", async () => {
    const store = makeStore(client);
    const seen = await new Promise<string[]>((resolve) => {
      void store.set("sid", sessionOf(), () => resolve(told()));
    });
    expect(seen).toEqual(phases("set"));
  });

  test("as an error", async () => {
    const store = makeStore(client);
    await rawOf(client).set(`${store.prefix}sid`, "no session");
    const [error, seen] = await new Promise<unknown[]>((resolve) => {
      void store.get("sid", (error) => resolve([error, told()]));
    });
    expect(error).toMatchObject({ code: "ERR_CORRUPT_SESSION" });
    expect(seen).toEqual(["get:start", "get:end", "get:error", "get:asyncStart", "get:asyncEnd"]);
    await expect(store.get("sid")).rejects.toMatchObject({ code: "ERR_CORRUPT_SESSION" });
    const session = 7 as never;
    await expect(store.touch("sid", session)).rejects.toMatchObject({
      code: "ERR_INVALID_SESSION",
    });
  });

  test("at once: what waited for nothing is over at its end", async () => {
    const store = makeStore(client);
    await store.set("sid", sessionOf());
    const session = await load(store, "sid");
    // It renews, unless it comes within the millisecond.
    await store.touch("sid", session);
    channels.told.length = 0;
    let seen: string[] = [];
    void store.touch("sid", session, () => {
      seen = told();
    });
    expect(seen).toEqual(["touch:start", "touch:end"]);
    expect(channels.last.outcome).toBe("skipped");
  });

  test("what is not known yet is undefined at the start", async () => {
    const early: unknown[] = [];
    const start = channel("tracing:redis-session-store:get:start");
    const listener = (message: unknown) => early.push({ ...(message as object) });
    start.subscribe(listener);
    await makeStore(client).get("sid");
    start.unsubscribe(listener);
    expect(early).toMatchObject([{ outcome: undefined, seconds: undefined, code: undefined }]);
  });
});

describe("what a listener binds to an operation", () => {
  const spans = new AsyncLocalStorage<string>();
  const start = channel("tracing:redis-session-store:get:start");
  beforeEach(() => start.bindStore(spans, () => "the store's"));
  afterEach(() => start.unbindStore(spans));

  test("is there while Redis is asked, and not in the app's callback or what follows", async () => {
    const sending: (string | undefined)[] = [];
    const recorded = through(client, (_command, send) => {
      sending.push(spans.getStore());
      return send();
    });
    const store = makeStore(recorded);
    const seen = await spans.run("the app's", async () => {
      const inCallback = await new Promise((resolve) => {
        void store.get("sid", () => resolve(spans.getStore()));
      });
      await store.get("sid");
      return [inCallback, spans.getStore()];
    });
    expect(sending).toEqual(["the store's", "the store's"]);
    expect(seen).toEqual(["the app's", "the app's"]);
  });

  test("is not in a callback that is answered from memory", async () => {
    const store = await bench.warmStore(await connect(6, bench.server.url));
    const seen = await new Promise((resolve) => {
      spans.run("the app's", () => {
        void store.get("sid", () => resolve(spans.getStore()));
      });
    });
    expect(seen).toBe("the app's");
  });
});

describe("the package as it is installed", () => {
  let packed: Packed;
  beforeAll(async () => {
    packed = await pack();
  });
  afterAll(() => packed?.remove());

  /** Runs an ES module that imports the package; what it prints, as JSON. */
  async function run(code: string): Promise<unknown> {
    const at = await packed.app({ "app.mjs": code }, { redis: "redis" });
    const { stdout } = await promisify(execFile)(process.execPath, [join(at, "app.mjs")], {
      env: { ...process.env, REDIS_URL: url },
      timeout: 15_000,
    });
    return JSON.parse(stdout);
  }

  test("does not report as the store's error what an app throws in its callback", async () => {
    const names = ["set", "get", "touch", "destroy"];
    const answers = await run(`
      import { subscribe } from "node:diagnostics_channel";
      import { createClient } from "redis";
      import { RedisStore } from "redis-session-store";
      const told = [], uncaught = [];
      process.on("uncaughtException", (error) => uncaught.push(error.message));
      for (const operation of ["get", "set", "touch", "destroy"])
        for (const phase of ["error", "asyncEnd", "end"])
          subscribe(\`tracing:redis-session-store:\${operation}:\${phase}\`, ({ outcome }) => {
            if (outcome !== undefined) told.push([operation, phase, outcome]);
          });
      const client = await createClient({ url: process.env.REDIS_URL }).connect();
      const store = new RedisStore({ client, prefix: "thrown:" + Math.random() });
      const session = { cookie: {} };
      for (const [name, ...args] of [["set", session], ["get"], ["touch", session], ["destroy"]]) {
        await new Promise((resolve) => {
          store[name]("sid", ...args, () => {
            setImmediate(resolve);
            throw new Error("by the app after " + name);
          });
        });
      }
      client.destroy();
      console.log(JSON.stringify({ told, uncaught }));
    `);
    const outcomes = ["OK", "hit", "renewed", "removed"];
    // The set and the destroy before and after the touch: all of them waited for Redis.
    expect(answers).toEqual({
      told: names.map((name, index) => [name, "asyncEnd", outcomes[index]]),
      uncaught: names.map((name) => `by the app after ${name}`),
    });
  });

  test("shares its channels between the ES module and the CommonJS build", async () => {
    const answers = await run(`
      import { subscribe } from "node:diagnostics_channel";
      import { createRequire } from "node:module";
      import { createClient } from "redis";
      import { RedisStore } from "redis-session-store";
      const { RedisStore: Other } = createRequire(import.meta.url)("redis-session-store");
      const told = [];
      subscribe("tracing:redis-session-store:get:asyncEnd", ({ store, outcome }) => told.push([store, outcome]));
      subscribe("redis-session-store:event", ({ store, event }) => told.push([store, event]));
      const client = await createClient({ url: process.env.REDIS_URL }).connect();
      const prefix = "both:" + Math.random();
      for (const [name, Class] of Object.entries({ esm: RedisStore, cjs: Other })) {
        const store = new Class({ client, prefix, name });
        await store.get("sid");
        const session = await store.get("sid");
        await store.set("sid", { cookie: { expires: new Date(0) } });
      }
      client.destroy();
      console.log(JSON.stringify({ told, isOne: RedisStore === Other }));
    `);
    const each = (name: string) => [
      [name, "miss"],
      [name, "miss"],
      [name, "discarded"],
    ];
    expect(answers).toEqual({ told: [...each("esm"), ...each("cjs")], isOne: false });
  });
});

test("without a listener nothing is published", async () => {
  channels.stop();
  const published = ["start", "end", "asyncStart", "asyncEnd", "error"].flatMap((phase) => {
    const one = channel(`tracing:redis-session-store:get:${phase}`);
    return [jest.spyOn(one, "publish"), jest.spyOn(one, "runStores")];
  });
  await makeStore(client).get("sid");
  for (const spy of published) expect(spy).not.toHaveBeenCalled();
  jest.restoreAllMocks();
});

test("who listens to one channel alone hears it", async () => {
  channels.stop();
  const heard: string[] = [];
  const phases = ["start", "end", "asyncStart", "asyncEnd", "error"];
  for (const phase of phases) {
    const one = channel(`tracing:redis-session-store:get:${phase}`);
    const listener = () => heard.push(phase);
    one.subscribe(listener);
    await refusal(makeStore(client).get(""));
    one.unsubscribe(listener);
  }
  expect(heard).toEqual(phases);
});

describe("events", () => {
  test("merged tells how many values were kept and overwritten, not which", async () => {
    const { saveMine, saveOther, mine, other, sid } = await pair({ shared: 0 });
    Object.assign(mine, { a: 1, shared: 1 });
    Object.assign(other, { b: 2, shared: 2 });
    await saveMine();
    await saveOther();
    expect(channels.events).toMatchObject([{ event: "merged", kept: 1, overwritten: 1 }]);
    expect(JSON.stringify(channels.events)).not.toMatch(new RegExp(`shared|${sid}`));
  });

  test("discarded tells why, corrupt what it was refused with", async () => {
    const store = makeStore(client, { name: "mine" });
    await store.set("sid", sessionOf({}, { expires: inMs(-1) }));
    await rawOf(client).set(`${store.prefix}sid`, "no session");
    await store.all();
    expect(channels.events).toMatchObject([
      { event: "discarded", store: "mine", reason: "expired" },
      { event: "corrupt", store: "mine", code: "ERR_CORRUPT_SESSION" },
    ]);
    const [discarded, corrupt] = channels.events as { handle: string }[];
    expect(discarded?.handle).toMatch(/^h[\w-]{43}$/);
    expect(corrupt?.handle).toBe(discarded?.handle);
  });

  test("down and up", async () => {
    const server = await startServer();
    const { client: own, close } = newClient(6, { url: server.url });
    await own.connect();
    const store = makeStore(own, { timeout: 200, name: "mine" });
    const there = () => channels.events.map(({ event }) => event);
    await store.get("sid");
    await server.stop();
    while (!there().includes("down")) await refusal(store.get("sid"));
    expect(channels.events).toEqual([{ event: "down", store: "mine" }]);
    close();
  });
});
