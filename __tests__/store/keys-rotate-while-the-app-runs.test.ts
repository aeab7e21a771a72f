import { randomBytes } from "node:crypto";
import type { SessionData } from "express-session";
import supertest from "supertest";
import { type EncryptionOptions, RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { stopClock } from "../support/recording.js";
import {
  type AppSession,
  connect,
  freshPrefix,
  inMs,
  makeApp,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  until,
  visit,
} from "../support/store.js";
import { warm } from "../support/tracking.js";

let client: TestClient;
let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  client = await connect();
  raw = rawOf(client);
});

afterEach(() => {
  jest.restoreAllMocks();
});

const a = randomBytes(32);
const b = randomBytes(32);
const LATER = inMs(3_600_000);

const OLD: EncryptionOptions = { keys: { a }, write: "a", plaintextUntil: null };
const KNOWS: EncryptionOptions = { keys: { a, b }, write: "a", plaintextUntil: null };
const NEW: EncryptionOptions = { keys: { a, b }, write: "b", plaintextUntil: null };
const WITHOUT: EncryptionOptions = { keys: { b }, write: "b", plaintextUntil: null };
const REVOKED: EncryptionOptions = { ...WITHOUT, revoked: ["a"] };
const PLAIN: EncryptionOptions = { keys: { a }, write: null };
const BOTH: EncryptionOptions = { keys: { a }, write: "a", plaintextUntil: LATER };

type Options = Omit<Partial<RedisStoreOptions>, "client" | "encryption">;

/** A server of an app whose keys the test can change. */
function server(prefix: string, first: EncryptionOptions, options: Options = {}) {
  let encryption = first;
  const store = new RedisStore({ client, prefix, ...options, encryption: () => encryption });
  const reasons: unknown[] = [];
  store.on("discarded", (_sid: string, reason: string) => reasons.push(reason));
  return {
    store,
    reasons,
    get: async (sid = "sid") => (await store.get(sid)) as AppSession,
    learns(next: EncryptionOptions) {
      encryption = next;
      store.reloadKeys();
    },
  };
}

/** Under which key a session is sealed; "plain" where it is not. */
async function formOf(prefix: string, sid = "sid"): Promise<string> {
  const text = await raw.send<string>("GET", prefix + sid);
  return /^rss1\.([^.]+)\./.exec(text)?.[1] ?? (text.startsWith("{") ? "plain" : text);
}

describe("another key", () => {
  test("seals what is saved, and what was sealed before still opens", async () => {
    const prefix = freshPrefix();
    const one = server(prefix, OLD);
    await one.store.set("sid", sessionOf({ a: 1 }));
    const two = server(prefix, NEW);
    const session = await two.get();
    expect(session).toEqual(sessionOf({ a: 1 }));
    expect(await formOf(prefix)).toBe("a");
    expect(await two.store.set("sid", Object.assign(session, { b: 2 }))).toBe("OK");
    expect(await formOf(prefix)).toBe("b");
    // Who has not learned of it says so, and harms nothing.
    expect((await refusal(one.store.get("sid"))).code).toBe("ERR_UNKNOWN_KEY");
    one.learns(KNOWS);
    expect(await one.get()).toEqual(sessionOf({ a: 1, b: 2 }));
  });

  test.each<[string, (server: RedisStore, session: SessionData) => Promise<unknown>]>([
    ["a save that changes nothing", (store, session) => store.set("sid", session)],
    ["a renewal that is sent", (store, session) => store.touch("sid", session)],
  ])("seals anew by %s, which renews too and loses nothing", async (_, renew) => {
    const prefix = freshPrefix();
    const one = server(prefix, OLD);
    await one.store.set("sid", sessionOf({ a: 1 }));
    const two = server(prefix, NEW, { touchAfter: 0 });
    const session = await two.get();
    await raw.send("PEXPIRE", `${prefix}sid`, "5000");
    expect(await renew(two.store, session)).toBe("OK");
    expect(await formOf(prefix)).toBe("b");
    expect(await raw.pttl(`${prefix}sid`)).toBeGreaterThan(80_000_000);
    // The object goes on from there.
    expect(await two.store.set("sid", Object.assign(session, { b: 2 }))).toBe("OK");
    expect(await two.get()).toEqual(sessionOf({ a: 1, b: 2 }));
  });

  test("a renewal that seals anew keeps what others wrote meanwhile", async () => {
    const prefix = freshPrefix();
    const one = server(prefix, KNOWS);
    await one.store.set("sid", sessionOf({ a: 1 }));
    const two = server(prefix, NEW, { touchAfter: 0 });
    const session = await two.get();
    await one.store.set("sid", Object.assign(await one.get(), { b: 2 }));
    expect(await two.store.touch("sid", session)).toBe("OK");
    expect(await formOf(prefix)).toBe("b");
    expect(await two.get()).toEqual(sessionOf({ a: 1, b: 2 }));
  });

  test("a renewal that seals anew brings nobody back", async () => {
    const prefix = freshPrefix();
    const two = server(prefix, NEW, { touchAfter: 0 });
    await server(prefix, OLD).store.set("sid", sessionOf());
    const session = await two.get();
    await two.store.destroy("sid");
    expect(await two.store.touch("sid", session)).toBe("EXPIRED");
    expect(await raw.exists(`${prefix}sid`)).toBe(false);
  });

  test("under load, on servers that learn of it at different times, no request fails or loses its change", async () => {
    const prefix = freshPrefix();
    const servers = [0, 1, 2].map(() => server(prefix, OLD));
    const sids = ["0", "1", "2", "3"];
    for (const sid of sids) await servers[0]?.store.set(sid, sessionOf({ done: {} }));
    let isOver = false;
    let requests = 0;
    const failures: unknown[] = [];
    const written = new Map<string, string[]>(sids.map((sid) => [sid, []]));
    const browse = async (own: ReturnType<typeof server>, name: string) => {
      for (let count = 0; !isOver; count++) {
        const sid = sids[count % sids.length] as string;
        try {
          const session = await own.get(sid);
          const key = `${name}-${count}`;
          (session.done as Record<string, number>)[key] = 1;
          const result = await own.store.set(sid, session);
          if (result === "GONE") throw new Error(`${sid} is gone`);
          written.get(sid)?.push(key);
          requests++;
        } catch (error) {
          failures.push(error);
        }
      }
    };
    const browsing = servers.flatMap((own, index) =>
      [0, 1].map((tab) => browse(own, `${index}.${tab}`)),
    );
    const phase = async (next: EncryptionOptions) => {
      for (const own of servers) {
        const goal = requests + 20;
        await until(() => requests >= goal || failures.length > 0);
        own.learns(next);
      }
    };
    await phase(KNOWS);
    await phase(NEW);
    const goal = requests + 40;
    await until(() => requests >= goal || failures.length > 0);
    isOver = true;
    await Promise.all(browsing);
    expect(failures).toEqual([]);
    for (const own of servers) own.learns(WITHOUT);
    for (const sid of sids) {
      expect(await formOf(prefix, sid)).toBe("b");
      const { done } = await (servers[0] as (typeof servers)[0]).get(sid);
      expect(Object.keys(done as object).sort()).toEqual(written.get(sid)?.sort());
    }
  });

  test("what cannot be loaded leaves the store with the keys that it has", async () => {
    const prefix = freshPrefix();
    const one = server(prefix, OLD);
    await one.store.set("sid", sessionOf({ a: 1 }));
    expect(() => one.learns({ ...OLD, write: "no such key" })).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_OPTION" }),
    );
    expect(await one.get()).toEqual(sessionOf({ a: 1 }));
    const fixed = new RedisStore({ client, prefix, encryption: OLD });
    expect(() => fixed.reloadKeys()).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_OPTION" }),
    );
    expect(() => new RedisStore({ client, prefix }).reloadKeys()).toThrow(/encryption/);
  });

  test("a session from memory is opened under the keys of now", async () => {
    const prefix = freshPrefix();
    const one = server(prefix, NEW, { cache: { max: 10 } });
    try {
      await server(prefix, OLD).store.set("sid", sessionOf({ a: 1 }));
      await warm(one.store, "sid");
      one.learns(WITHOUT);
      expect((await refusal(one.store.get("sid"))).code).toBe("ERR_UNKNOWN_KEY");
      one.learns(REVOKED);
      expect(await one.get()).toBeNull();
    } finally {
      one.store.close();
    }
  });
});

describe("a revoked key", () => {
  test("its sessions count as missing, and who comes back begins anew", async () => {
    const prefix = freshPrefix();
    await server(prefix, OLD).store.set("sid", sessionOf({ admin: true }));
    const one = server(prefix, REVOKED);
    expect(await one.get()).toBeNull();
    expect(await one.store.all()).toEqual([]);
    await until(() => one.reasons.length > 0);
    expect(one.reasons).toEqual(["revoked"]);
    expect(await one.store.set("sid", sessionOf({ a: 1 }))).toBe("OK");
    expect(await one.get()).toEqual(sessionOf({ a: 1 }));
  });

  test.each(["merge", "overwrite"] as const)(
    "nothing that was loaded under it is sealed anew: %s",
    async (conflict) => {
      const prefix = freshPrefix();
      const one = server(prefix, NEW, { conflict, touchAfter: 0 });
      await server(prefix, OLD).store.set("sid", sessionOf({ admin: true }));
      const [changed, same, touched] = [await one.get(), await one.get(), await one.get()];
      one.learns(REVOKED);
      expect(await one.store.set("sid", Object.assign(changed, { more: 1 }))).toBe("GONE");
      expect(await one.store.set("sid", same)).toBe("GONE");
      expect(await one.store.touch("sid", touched)).toBe("EXPIRED");
      await until(() => one.reasons.length >= 2);
      expect(one.reasons).toEqual(["revoked", "revoked"]);
      expect(await formOf(prefix)).toBe("a");
    },
  );

  test("that happens while two changes are merged: nothing of either is sealed anew", async () => {
    const prefix = freshPrefix();
    const one: ReturnType<typeof server> = server(prefix, NEW, {
      conflict: async (_ancestor, current, mine) => {
        one.learns(REVOKED);
        return { ...current, ...mine };
      },
    });
    const old = server(prefix, OLD);
    await old.store.set("sid", sessionOf({ admin: true }));
    const session = await one.get();
    await old.store.set("sid", sessionOf({ admin: true, theirs: 1 }));
    expect(await one.store.set("sid", Object.assign(session, { more: 1 }))).toBe("GONE");
    await until(() => one.reasons.length > 0);
    expect(one.reasons).toEqual(["revoked"]);
    expect(await formOf(prefix)).toBe("a");
  });

  test("a merge that loads the keys anew each time ends all the same", async () => {
    const prefix = freshPrefix();
    const one: ReturnType<typeof server> = server(prefix, OLD, {
      timeout: 100,
      conflict: (_ancestor, _current, mine) => {
        one.learns({ ...OLD });
        return mine;
      },
    });
    await one.store.set("sid", sessionOf({ n: 0 }));
    const session = await one.get();
    await server(prefix, OLD).store.set("sid", sessionOf({ n: 1 }));
    const error = await refusal(one.store.set("sid", Object.assign(session, { n: 2 })));
    expect(error.code).toBe("ERR_CONFLICT");
  });

  test("a row of all() that was listed before is not sealed anew", async () => {
    const prefix = freshPrefix();
    const one = server(prefix, NEW);
    await server(prefix, OLD).store.set("sid", sessionOf({ admin: true }));
    const [row] = await one.store.all();
    one.learns(REVOKED);
    expect(await one.store.set("sid", row as SessionData)).toBe("GONE");
    await until(() => one.reasons.length > 0);
    expect(one.reasons).toEqual(["revoked"]);
    expect(await formOf(prefix)).toBe("a");
  });

  test("destroyAllOf ends its sessions too, and they take no place", async () => {
    const prefix = freshPrefix();
    const options: Options = {
      userId: (session) => (session as AppSession).user as string,
      maxSessionsPerUser: 1,
      onLimit: "reject",
    };
    await server(prefix, OLD, options).store.set("old", sessionOf({ user: "ada" }));
    const one = server(prefix, REVOKED, options);
    expect(await one.store.set("new", sessionOf({ user: "ada" }))).toBe("OK");
    expect(await one.store.destroyAllOf("ada")).toBe(1);

    await server(prefix, OLD, options).store.set("third", sessionOf({ user: "bob" }));
    expect(await one.store.destroyAllOf("bob")).toBe(1);
    expect(await raw.exists(`${prefix}third`)).toBe(false);
  });
});

describe("from plain sessions to sealed ones and back", () => {
  test("each phase beside the servers of the one before it", async () => {
    const prefix = freshPrefix();
    const none = new RedisStore({ client, prefix });
    await none.set("sid", sessionOf({ step: 0 }));
    let step = 0;
    const change = async (own: RedisStore) => {
      const session = (await own.get("sid")) as AppSession;
      expect(session.step).toBe(step);
      step++;
      expect(await own.set("sid", Object.assign(session, { step }))).toBe("OK");
    };
    const first = server(prefix, PLAIN);
    await change(first.store);
    await change(none);
    expect(await formOf(prefix)).toBe("plain");
    const second = server(prefix, BOTH);
    await change(second.store);
    expect(await formOf(prefix)).toBe("a");
    // The first phase reads it, and writes plain ones; the second seals them again.
    await change(first.store);
    expect(await formOf(prefix)).toBe("plain");
    await change(second.store);
    expect(await formOf(prefix)).toBe("a");
    const third = server(prefix, OLD);
    await change(third.store);
    await change(second.store);
    expect(await formOf(prefix)).toBe("a");
    // And back.
    await change(second.store);
    await change(first.store);
    expect(await formOf(prefix)).toBe("plain");
    await change(none);
  });

  test("a renewal that is sent seals, or opens on the way back", async () => {
    const prefix = freshPrefix();
    await new RedisStore({ client, prefix }).set("sid", sessionOf({ a: 1 }));
    const both = server(prefix, BOTH, { touchAfter: 0 });
    await both.store.touch("sid", await both.get());
    expect(await formOf(prefix)).toBe("a");
    const back = server(prefix, PLAIN, { touchAfter: 0 });
    await back.store.touch("sid", await back.get());
    expect(await formOf(prefix)).toBe("plain");
    expect(await new RedisStore({ client, prefix }).get("sid")).toEqual(sessionOf({ a: 1 }));
  });

  test.each(["merge", "overwrite"] as const)(
    "after the date plain ones count as missing, also those that were loaded before: %s",
    async (conflict) => {
      const prefix = freshPrefix();
      const clock = stopClock();
      const ends = new Date(clock.now + 1000);
      const one = server(prefix, { ...BOTH, plaintextUntil: ends }, { conflict, touchAfter: 0 });
      await new RedisStore({ client, prefix }).set("sid", sessionOf({ admin: true }));
      const [changed, touched] = [await one.get(), await one.get()];
      expect(changed).toEqual(sessionOf({ admin: true }));
      clock.now += 1000;
      expect(await one.get()).toBeNull();
      expect(await one.store.set("sid", Object.assign(changed, { more: 1 }))).toBe("GONE");
      expect(await one.store.touch("sid", touched)).toBe("EXPIRED");
      await until(() => one.reasons.length >= 2);
      expect(one.reasons).toEqual(["plaintext", "plaintext"]);
      expect(await formOf(prefix)).toBe("plain");
    },
  );

  test("a plain session that somebody puts in the place of a sealed one takes no part in a merge", async () => {
    const prefix = freshPrefix();
    const one = server(prefix, OLD);
    await one.store.set("sid", sessionOf({ admin: false }));
    const session = await one.get();
    await raw.set(`${prefix}sid`, JSON.stringify(sessionOf({ admin: true })));
    expect(await one.store.set("sid", Object.assign(session, { more: 1 }))).toBe("GONE");
    await until(() => one.reasons.length > 0);
    expect(one.reasons).toEqual(["plaintext"]);
    expect(await formOf(prefix)).toBe("plain");
  });

  test("a session that express-session has generated replaces one that counts as missing", async () => {
    const prefix = freshPrefix();
    const one = server(prefix, OLD);
    await raw.set(`${prefix}sid`, JSON.stringify(sessionOf({ admin: true })));
    const app = makeApp(one.store, { "/": visit }, { genid: () => "sid" });
    expect((await supertest(app).get("/")).text).toBe("1");
    await until(async () => (await formOf(prefix)) === "a");
    expect(await one.get()).toMatchObject({ visits: 1 });
    expect(app.errors).toEqual([]);
  });
});
