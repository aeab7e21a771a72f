import type { SessionData } from "express-session";
import type { RedisStore } from "../../lib/index.js";
import type { Server } from "../support/servers.js";
import { sessionOf } from "../support/store.js";

/** What the store reads with; a replica runs none of it on its own account. */
const READS = /cmdstat_(get|mget|pttl|scan|evalsha|eval|exists)/;

/** Uses every way of reading, and finds no trace of it on the replicas. */
export async function expectNoReads(store: RedisStore, replicas: readonly Server[]): Promise<void> {
  expect(replicas.length).toBeGreaterThan(1);
  const sids = Array.from({ length: 40 }, (_, index) => `sid-${index}`);
  await Promise.all(sids.map((sid) => store.set(sid, sessionOf())));
  for (const replica of replicas) await replica.command("CONFIG", "RESETSTAT");
  for (const sid of sids) {
    const session = (await store.get(sid)) as SessionData;
    await store.set(sid, Object.assign(session, { a: 1 }));
    await store.touch(sid, session);
  }
  expect(await store.length()).toBe(40);
  expect(await store.all()).toHaveLength(40);
  for await (const { session } of store.sessions()) expect(session).toMatchObject({ a: 1 });
  for (const replica of replicas) {
    expect(String(await replica.command("INFO", "commandstats"))).not.toMatch(READS);
  }
}

/** What an operation may fail with while there is no primary. */
const OUTAGE = new Set(["ERR_UNAVAILABLE", "ERR_TIMEOUT", "ERR_READONLY"]);

/**
 * Keeps the stores busy while `failOver` replaces a primary: what fails does so in time and with a
 * code that says why, what was stored before is there afterwards, and all goes on.
 */
export async function outlivesFailover(
  stores: readonly RedisStore[],
  failOver: () => Promise<void>,
): Promise<void> {
  const sids = Array.from({ length: 30 }, (_, index) => `sid-${index}`);
  for (const store of stores) {
    await Promise.all(sids.map((sid) => again(() => store.set(sid, sessionOf({ sid })))));
  }
  let over = false;
  const codes = new Set<unknown>();
  const busy = stores.map(async (store) => {
    while (!over) {
      const work = [store.get("sid-1"), store.get("sid-2"), store.get("sid-3"), store.length()];
      for (const one of await Promise.allSettled(work)) {
        if (one.status === "rejected") codes.add((one.reason as { code?: unknown }).code);
      }
    }
  });
  await failOver();
  over = true;
  await Promise.all(busy);
  expect([...codes].filter((code) => !OUTAGE.has(String(code)))).toEqual([]);

  await Promise.all(
    stores.map(async (store) => {
      for (const sid of sids) {
        const session = (await again(() => store.get(sid))) as SessionData;
        expect(session).toMatchObject({ sid });
        await again(() => store.set(sid, Object.assign(session, { after: true })));
      }
      expect((await again(() => store.ids())).sort()).toEqual(sids.slice().sort());
      const all = await again(() => store.all());
      expect(all.filter((session) => "after" in session)).toHaveLength(sids.length);
    }),
  );
}

/** Tries until the client has found the new primary; the test's own time limit ends it. */
async function again<Result>(work: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!OUTAGE.has(String((error as { code?: unknown }).code))) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
