import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import type { RedisStore } from "../../lib/index.js";
import {
  type AppSession,
  connect,
  freshPrefix,
  makeStore,
  sessionOf,
  until,
} from "../support/store.js";
import { withMember } from "../support/through.js";
import { fromCache, type TrackingClient, tracked, warm } from "../support/tracking.js";

/** One step of one of two processes. What is not awaited runs beside the following steps. */
interface Step {
  readonly process: 0 | 1;
  readonly session: 0 | 1;
  readonly kind: "get" | "set" | "destroy" | "touch";
  readonly awaited: boolean;
  /** How many turns of the event loop pass afterwards. */
  readonly turns: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  process: fc.constantFrom(0, 1),
  session: fc.constantFrom(0, 1),
  kind: fc.oneof(
    { weight: 6, arbitrary: fc.constant("get" as const) },
    { weight: 3, arbitrary: fc.constant("set" as const) },
    { weight: 1, arbitrary: fc.constant("destroy" as const) },
    { weight: 1, arbitrary: fc.constant("touch" as const) },
  ),
  awaited: fc.boolean(),
  turns: fc.nat(3),
});

/** A write, by when it was sent and when it was acknowledged. */
interface Write {
  readonly process: number;
  /** What it left there; 0: nothing. */
  readonly n: number;
  readonly sent: number;
  acknowledged: number;
}

/** Replies to reads come a random number of turns late, announcements at once. */
function slow(connection: TrackingClient): TrackingClient {
  const sendCommand: TrackingClient["sendCommand"] = async (command, options) => {
    const reply = await connection.sendCommand(command, options);
    if (command[0] === "GET") for (let n = Math.random() * 4; n > 1; n--) await turn();
    return reply;
  };
  return withMember(connection, { sendCommand });
}

test("however reads and writes overlap, a process reads its own writes, and in the end what is there", async () => {
  const prefix = freshPrefix();
  const clients = await Promise.all([connect(), connect()]);
  const stores = clients.map((client) =>
    makeStore(tracked(client, {}, slow).client, { prefix, cache: { max: 10 }, touchAfter: 0 }),
  );
  const plain = makeStore(await connect(), { prefix });
  await plain.set("warm", sessionOf());
  for (const store of stores) await warm(store, "warm");
  let time = 0;
  let values = 0;
  let hits = 0;

  async function run(steps: Step[]): Promise<void> {
    const sids = [0, 1].map((index) => `${values}-${index}`);
    const writes: Write[][] = [[], []];
    const under: Promise<unknown>[] = [];

    const write = async ({ process, session, kind }: Step) => {
      const store = stores[process] as RedisStore;
      const sid = sids[session] as string;
      if (kind === "touch") {
        await store.touch(sid, sessionOf());
        return;
      }
      const n = kind === "destroy" ? 0 : ++values;
      const one = { process, n, sent: ++time, acknowledged: Number.POSITIVE_INFINITY };
      writes[session]?.push(one);
      await (n === 0 ? store.destroy(sid) : store.set(sid, sessionOf({ n })));
      one.acknowledged = ++time;
    };

    const read = async ({ process, session }: Step) => {
      const began = ++time;
      const store = stores[process] as RedisStore;
      const sid = sids[session] as string;
      const cached = fromCache(store, sid) as AppSession | undefined;
      if (cached !== undefined) hits++;
      const found = cached ?? ((await store.get(sid)) as AppSession | null);
      const n = Number(found?.n ?? 0);
      const all = writes[session] as Write[];
      const own = all.filter((one) => one.process === process && one.acknowledged < began);
      // What was there at some time after all own writes: none of those that were over before one of them.
      const possible = all.filter((one) => !own.some((later) => one.acknowledged < later.sent));
      if (own.length === 0 && n === 0) return;
      expect(possible.map((one) => one.n)).toContain(n);
    };

    for (const one of steps) {
      const work = one.kind === "get" ? read(one) : write(one);
      if (one.awaited) await work;
      else under.push(work);
      for (let n = 0; n < one.turns; n++) await turn();
    }
    await Promise.all(under);
    for (const sid of sids) {
      const there = ((await plain.get(sid)) as AppSession | null)?.n;
      for (const store of stores) {
        await until(async () => ((await store.get(sid)) as AppSession | null)?.n === there);
      }
      await plain.destroy(sid);
    }
  }

  try {
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), run), {
      numRuns: Number(process.env.REDIS_SESSION_STORE_RUNS ?? 2400) / 8,
    });
  } finally {
    for (const store of stores) store.close();
  }
  expect(hits).toBeGreaterThan(100);
}, 120_000);
