import express from "express";
import supertest from "supertest";
import { COMPARE_AND_RENEW } from "../../lib/save/scripts.js";
import { REMOVE_SEEN, TAKE } from "../../lib/users/scripts.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { faulty } from "../support/faults.js";
import { record } from "../support/recording.js";
import { load } from "../support/requests.js";
import {
  type AppSession,
  connect,
  makeApp,
  makeStore,
  rawOf,
  read,
  refusal,
  sessionOf,
  type TestClient,
  until,
  visit,
} from "../support/store.js";
import { through } from "../support/through.js";
import { userId } from "../support/user-index-suite.js";

// What a request that only reads costs. Counted by a server that nobody else talks to.

let server: RedisServer;
let client: TestClient;
let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  server = await startRedis();
  client = await connect(6, server.url);
  raw = rawOf(client);
});
afterAll(() => server.stop());

/** How often each command ran since it was last asked. */
async function commandsRun(): Promise<Record<string, number>> {
  const text = await raw.send<string>("INFO", "commandstats");
  await raw.send("CONFIG", "RESETSTAT");
  const counts: Record<string, number> = {};
  for (const [, name = "", calls] of text.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)) {
    if (!/^(info|config)/.test(name)) counts[name] = Number(calls);
  }
  return counts;
}

test.each([
  ["session cookies", {}],
  ["maxAge", { cookie: { maxAge: 3_600_000 } }],
  ["rolling cookies", { cookie: { maxAge: 3_600_000 }, rolling: true }],
])("a request that only reads costs one command: %s", async (_, options) => {
  const store = makeStore(client);
  const app = makeApp(store, { "/visit": visit, "/read": read }, options);
  const agent = supertest.agent(app);
  await agent.get("/visit");
  await agent.get("/read");
  await commandsRun();
  for (let n = 0; n < 40; n++) await agent.get("/read");
  expect(await commandsRun()).toEqual({ get: 40 });
});

test("a hundred hot sessions cost one renewal each, not one for each request", async () => {
  const store = makeStore(client);
  const sids = Array.from({ length: 100 }, (_, n) => `sid${n}`);
  await Promise.all(sids.map((sid) => store.set(sid, sessionOf({ sid }))));
  await commandsRun();
  for (let round = 0; round < 30; round++) {
    await Promise.all(
      sids.map(async (sid) => {
        const session = (await store.get(sid)) as AppSession;
        expect(await store.touch(sid, session)).toBe("OK");
      }),
    );
  }
  const { get, evalsha = 0, ...others } = await commandsRun();
  expect(get).toBe(3000 + evalsha);
  expect(evalsha).toBeLessThanOrEqual(100);
  // What the scripts call counts too; the first may have to be loaded.
  const { pexpire = 0, eval: loads = 0, ...rest } = others;
  expect(rest).toEqual({});
  expect(loads).toBeLessThanOrEqual(100);
  expect(pexpire).toBeLessThanOrEqual(100);
});

test("a save is one command", async () => {
  const store = makeStore(client);
  await store.set("sid", sessionOf());
  const session = (await store.get("sid")) as AppSession;
  session.warm = true;
  await store.set("sid", session);
  await commandsRun();
  for (let n = 0; n < 10; n++) {
    session.n = n;
    expect(await store.set("sid", session)).toBe("OK");
  }
  const { evalsha, set } = await commandsRun();
  // A server that compares by itself runs no script; the others count what is in it too.
  expect(evalsha ?? set).toBe(10);
});

test("a touch with nothing to send calls back before it returns", async () => {
  const { client: recorded, names } = record(client);
  const store = makeStore(recorded);
  await store.set("sid", sessionOf());
  const session = (await store.get("sid")) as AppSession;
  // Within the millisecond of the save there is nothing to renew yet, and later there is.
  const saved = Date.now();
  await until(() => Date.now() > saved);
  await store.touch("sid", session);
  names();
  const calls: unknown[] = [];
  const returned: unknown = store.touch("sid", session, (...args) => calls.push(args));
  expect(calls).toEqual([[null, "OK"]]);
  expect(returned).toBeUndefined();
  expect(names()).toEqual([]);
  expect(await store.touch("sid", session)).toBe("OK");
});

test("a touch that fails calls back later, as everything that is sent does", async () => {
  const store = makeStore(client);
  const calls: unknown[] = [];
  await new Promise<void>((resolve) => {
    store.touch("", sessionOf(), (error) => {
      calls.push(error);
      resolve();
    });
    expect(calls).toEqual([]);
  });
  expect(calls).toEqual([expect.objectContaining({ code: "ERR_INVALID_SID" })]);
});

test("the response of a request that only reads is written at once", async () => {
  const store = makeStore(client);
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
  app.use(makeApp(store, { "/visit": visit, "/read": read }));
  const agent = supertest.agent(app);
  await agent.get("/visit");
  await agent.get("/visit");
  expect(writes).toBeGreaterThan(0);
  await agent.get("/read");
  await agent.get("/read");
  expect(writes).toBe(0);
});

describe("what a touch knows of a session is forgotten when that is ended", () => {
  const runs = ([name, text]: string[], { sha, source }: { sha: string; source: string }) =>
    (name === "EVALSHA" && text === sha) || (name === "EVAL" && text === source);
  const isRenewal = (command: string[]) => runs(command, COMPARE_AND_RENEW);
  const isRemoval = (command: string[]) =>
    command[0] === "DEL" || runs(command, TAKE) || runs(command, REMOVE_SEEN);

  /** A session in the hands of two requests, and a touch of the first whose answer waits. */
  async function touched(options: object) {
    let between = async () => {};
    let isHeld = false;
    let answer = () => {};
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let arrived = () => {};
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const slow = through(client, async (command, send) => {
      const reply = await send();
      if (isHeld && isRenewal(command)) {
        isHeld = false;
        arrived();
        await answered;
      }
      if (isRemoval(command)) await between();
      return reply;
    });
    const store = makeStore(slow, { touchAfter: 60, ...options });
    // By another process: this one knows nothing of it yet.
    const other = makeStore(client, { prefix: store.prefix, ...options });
    await other.set("sid", sessionOf({ user: "ada" }));
    const [mine, same] = [await load(store, "sid"), await load(store, "sid")];
    isHeld = true;
    const touch = store.touch("sid", mine);
    await arrival;
    return {
      store,
      same,
      touch,
      answer,
      /** Has something done between the removal and its answer. */
      meanwhile: (work: () => Promise<void>) => {
        between = work;
      },
    };
  }

  type Store = Awaited<ReturnType<typeof touched>>["store"];
  const ways: [string, object, (store: Store) => Promise<unknown>][] = [
    ["destroy", {}, (store) => store.destroy("sid")],
    ["destroy, of a user", { userId }, (store) => store.destroy("sid")],
    ["destroyAllOf", { userId }, (store) => store.destroyAllOf("ada")],
  ];

  test.each(ways)(
    "though its answer comes while the end is under way: %s",
    async (_, options, end) => {
      const { store, same, touch, answer, meanwhile } = await touched(options);
      meanwhile(async () => {
        answer();
        expect(await touch).toBe("OK");
      });
      expect(await end(store)).toBe(1);
      expect(await store.touch("sid", same)).toBe("EXPIRED");
    },
  );

  test.each(ways)("though its answer comes after the end: %s", async (_, options, end) => {
    const { store, same, touch, answer } = await touched(options);
    expect(await end(store)).toBe(1);
    answer();
    await touch;
    expect(await store.touch("sid", same)).toBe("EXPIRED");
  });

  test("and when that waits behind a renewal without an answer", async () => {
    const faults = faulty(client);
    const store = makeStore(faults.client, { touchAfter: 60, timeout: 500 });
    await store.set("sid", sessionOf());
    const [saved, mine, same] = [
      await load(store, "sid"),
      await load(store, "sid"),
      await load(store, "sid"),
    ];
    let sent = 0;
    faults.fate = (command) => {
      if (isRenewal(command.map(String)) && sent++ === 0) return "drop";
      // Nor is it repeated too early.
      return command[0] === "DEL" ? "drop" : undefined;
    };
    const save = refusal(store.set("sid", saved));
    const end = refusal(store.destroy("sid"));
    await until(() => sent > 0);
    expect(await store.touch("sid", mine)).toBe("OK");
    expect(await save).toMatchObject({ code: "ERR_TIMEOUT" });
    expect(await end).toMatchObject({ code: "ERR_TIMEOUT" });
    expect(await store.touch("sid", same)).toBe("EXPIRED");
    faults.fate = () => undefined;
    await until(async () => !(await raw.exists(`${store.prefix}sid`)));
  });
});
