import type { SessionData } from "express-session";
import fc from "fast-check";
import { RedisStore } from "../../lib/index.js";
import { type Bench, parserOf, Run, takeClock } from "../support/model-run.js";
import { type Plan, plan } from "../support/model-steps.js";
import { connect, freshPrefix, sessionOf, type TestClient } from "../support/store.js";
import { fromCache, type Tracked, tracked, warm } from "../support/tracking.js";

// The interleavings of property.test.ts with `cache`. What another process wrote counts for a reader
// from when it is announced; so every get waits here until all that was announced before has arrived.

const runs = Number(process.env.REDIS_SESSION_STORE_RUNS ?? 2400) / 16;
const seed = Number(process.env.REDIS_SESSION_STORE_SEED ?? Math.trunc(Math.random() * 2 ** 31));

const prefix = freshPrefix();
const WARM = "warm";
const stores = new Set<RedisStore>();
let observer: TestClient;
let clients: Tracked[];
let giveClockBack: () => void;
let hits = 0;

beforeAll(async () => {
  giveClockBack = takeClock();
  const [first, ...others] = await Promise.all([connect(), connect(), connect(), connect()]);
  observer = first as TestClient;
  clients = others.map((client) => tracked(client));
  process.stderr.write(`interleavings: REDIS_SESSION_STORE_SEED=${seed}, ${runs} runs\n`);
});

afterAll(() => giveClockBack());

/** A store that reads when its cache is on and has heard of everything up to now. */
class WaitingStore extends RedisStore {
  override get(sid: string, callback?: unknown): Promise<SessionData | null> {
    const reading = this.#get(sid);
    if (typeof callback !== "function") return reading;
    reading.then(
      (session) => callback(null, session) as unknown,
      (error) => callback(error) as unknown,
    );
    return undefined as unknown as Promise<null>;
  }

  async #get(sid: string): Promise<SessionData | null> {
    if (!stores.has(this)) {
      stores.add(this);
      await warm(reader(this), WARM);
    }
    for (const { connections } of clients) {
      const ready = connections.filter((one) => one.isReady);
      await Promise.all(ready.map((one) => one.sendCommand(["PING"])));
    }
    const cached = fromCache(reader(this), sid);
    if (cached === undefined) return super.get(sid);
    hits++;
    return cached;
  }
}

/** A store's own `get`. */
function reader(store: RedisStore): RedisStore {
  const get = RedisStore.prototype.get.bind(store) as RedisStore["get"];
  return { get } as RedisStore;
}

test.each([
  ["room for all sessions", 100],
  ["room for two", 2],
])(
  "what interleaved requests leave in Redis is what the rules say, with a cache and %s",
  async (_, max) => {
    const bench: Bench = {
      clients: clients.map(({ client }) => client),
      observer,
      prefix,
      options: { cache: { max } },
      parse: parserOf(JSON),
      Store: WaitingStore as typeof RedisStore,
    };
    const run = async (one: Plan) => {
      await observer.sendCommand(["SET", prefix + WARM, JSON.stringify(sessionOf())]);
      try {
        await new Run(bench, one).all(one.steps);
      } finally {
        for (const store of stores) store.close();
        stores.clear();
        for (const { connections } of clients) connections.length = 0;
      }
    };
    hits = 0;
    await fc.assert(fc.asyncProperty(plan, run), { seed, numRuns: Math.ceil(runs / 2) });
    expect(hits).toBeGreaterThan(runs / 10);
  },
  Math.max(60_000, runs * 1000),
);
