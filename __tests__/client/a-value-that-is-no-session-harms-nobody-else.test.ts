import { sign } from "cookie-signature";
import supertest from "supertest";
import { expectAccounted, startLoad } from "../support/load.js";
import {
  connect,
  makeApp,
  makeStore,
  rawOf,
  read,
  type TestClient,
  visit,
} from "../support/store.js";

// What Redis holds is no session, or the clock of the app jumps, under load.

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});
afterEach(() => {
  jest.restoreAllMocks();
});

describe("a value that is no session fails the requests of its browser, and no other", () => {
  const whole = JSON.stringify({ cookie: { originalMaxAge: null }, text: "x".repeat(100) });
  const values: [string, string | Buffer][] = [
    ["text", "hello"],
    ["nothing", ""],
    ["a number", "42"],
    ["null", "null"],
    ["a list", "[1,2,3]"],
    ["a truncated session", whole.slice(0, -20)],
    ["bytes", Buffer.from([0, 255, 1, 254, 0x80])],
    ["deep nesting that never closes", '{"a":'.repeat(100_000)],
    ["50 MB of text", Buffer.alloc(50_000_000, "x")],
    [
      "50 MB of a truncated session",
      Buffer.concat([Buffer.from('{"a":"'), Buffer.alloc(50_000_000, "x")]),
    ],
  ];
  test.each(values)("%s", async (_, value) => {
    const store = makeStore(client, { timeout: 10_000 });
    const load = await startLoad(store);
    const key = `${store.prefix}broken`;
    await rawOf(client).set(key, value);
    const app = makeApp(store, { "/read": read, "/visit": visit });
    const cookie = `connect.sid=${encodeURIComponent(`s:${sign("broken", "test")}`)}`;
    for (const path of ["/read", "/visit"]) {
      const answer = await supertest(app).get(path).set("Cookie", cookie);
      expect([answer.status, answer.text]).toEqual([500, "ERR_CORRUPT_SESSION"]);
      // Nobody is logged out by it, and nothing is overwritten.
      expect(answer.headers["set-cookie"]).toBeUndefined();
      expect(Number(await rawOf(client).send("STRLEN", key))).toBe(Buffer.byteLength(value));
    }
    expect(await store.destroy("broken")).toBe(1);
    expect((await supertest(app).get("/visit").set("Cookie", cookie)).text).toBe("1");
    await load.everyone();
    const report = await load.stop();
    expectAccounted(report);
    expect(await load.lost(store)).toEqual([]);
  });

  test("and a session of 50 MB is one, if the timeout is long enough", async () => {
    const store = makeStore(client, { timeout: 10_000 });
    const large = "x".repeat(50_000_000);
    await rawOf(client).set(`${store.prefix}large`, JSON.stringify({ large }));
    const session = (await store.get("large")) as unknown as { large: string };
    expect(session.large.length).toBe(large.length);
    expect(await store.set("large", session as never)).toBe("OK");
    await store.destroy("large");
  });
});

describe("a clock that jumps", () => {
  const hour = 3_600_000;
  const jumps = [30_000, hour, -hour, 24 * hour, -24 * hour, -365 * 24 * hour, 0];
  /** Sets the time of the app off by so much; Redis has its own. */
  const setOff = (() => {
    const real = Date.now.bind(Date);
    return (ms: number) => jest.spyOn(Date, "now").mockImplementation(() => real() + ms);
  })();

  const lives: [string, { cookie: object; options: object; life: number }][] = [
    ["cookie.maxAge", { cookie: { maxAge: 120_000 }, options: {}, life: 120_000 }],
    ["ttl", { cookie: {}, options: { ttl: 120 }, life: 120_000 }],
    ["touchAfter: 0", { cookie: { maxAge: 120_000 }, options: { touchAfter: 0 }, life: 120_000 }],
  ];
  test.each(lives)(
    "with %s: no session dies early, and none lives longer",
    async (_, { cookie, options, life }) => {
      const store = makeStore(client, { timeout: 5000, ...options });
      const load = await startLoad(store, { cookie, users: 3 });
      for (const jump of jumps) {
        setOff(jump);
        await load.everyone();
        for (const { sid } of load.users()) {
          const left = await rawOf(client).pttl(store.prefix + sid);
          expect(left).toBeGreaterThan(life - 15_000);
          // The slack is a sixtieth of its life.
          expect(left).toBeLessThanOrEqual(life + life / 60);
        }
      }
      const report = await load.stop();
      expectAccounted(report);
      expect(report.failed).toEqual({});
      expect(await load.lost(store)).toEqual([]);
    },
  );

  test("a session that only reads lives as long as before, after a jump in either direction", async () => {
    for (const jump of [hour, -hour]) {
      const store = makeStore(client, { ttl: 600 });
      const app = makeApp(store, { "/read": read, "/visit": visit });
      const first = await supertest(app).get("/visit");
      const cookie = first.headers["set-cookie"]?.[0] ?? "";
      const [sid] = await store.ids();
      setOff(jump);
      expect((await supertest(app).get("/read").set("Cookie", cookie)).status).toBe(200);
      const left = await rawOf(client).pttl(`${store.prefix}${sid}`);
      expect(left).toBeGreaterThan(590_000);
      expect(left).toBeLessThanOrEqual(610_000);
      jest.restoreAllMocks();
    }
  });
});
