import express from "express";
import supertest from "supertest";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { record } from "../support/recording.js";
import {
  type AppSession,
  connect,
  makeApp,
  makeStore,
  rawOf,
  read,
  sessionOf,
  type TestClient,
  until,
  visit,
} from "../support/store.js";

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
