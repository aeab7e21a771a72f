import type { SessionData } from "express-session";
import type { RedisStore, RedisStoreOptions, SessionPage } from "../../lib/index.js";
import { load } from "../support/requests.js";
import {
  type AppSession,
  connect,
  inMs,
  makeStore,
  rawOf,
  refusal,
  sessionOf,
  unlessSealed,
} from "../support/store.js";

type Options = Omit<Partial<RedisStoreOptions>, "client">;
type Lister = (store: RedisStore) => Promise<SessionData | undefined>;

const listers: [string, Lister][] = [
  ["sessions()", async (store) => (await store.sessions().next()).value?.session],
  ["page()", async (store) => (await pageOf(store))?.session],
  ["sessionsOf()", async (store) => (await store.sessionsOf("ada"))[0]?.session],
  ["all()", async (store) => (await store.all())[0]],
];

/** The first entry of all pages; any one of them may be empty. */
async function pageOf(store: RedisStore) {
  let cursor: string | null = null;
  do {
    const page: SessionPage = await store.page({ cursor });
    if (page.entries.length > 0) return page.entries[0];
    cursor = page.cursor;
  } while (cursor !== null);
  return undefined;
}

/** A session of ada that has a minute of its ten left, its stored date long past. */
async function listed(lister: Lister, options: Options = {}) {
  const userId = (session: SessionData) => (session as AppSession).user as string | undefined;
  const store = makeStore(await connect(), { userId, ...options }) as RedisStore;
  const raw = rawOf(await connect());
  const key = `${store.prefix}sid`;
  const session = sessionOf({ user: "ada", n: 1 }, { originalMaxAge: 600_000, path: "/" });
  (session.cookie as { expires: unknown }).expires = inMs(600_000);
  await store.set("sid", session);
  const text = (await raw.get(key)) as string;
  const stale = JSON.parse(text) as { cookie: { expires: string } };
  stale.cookie.expires = new Date(Date.now() - 60_000).toISOString();
  await raw.set(key, JSON.stringify(stale));
  await raw.send("PEXPIRE", key, "60000");
  const row = (await lister(store)) as AppSession;
  return { store, raw, key, row };
}

describe.each(listers)("a row of %s", (name, lister) => {
  test("shows what is stored, and saved keeps the life that the key has", async () => {
    const { store, raw, key, row } = await listed(lister);
    expect(new Date(row.cookie.expires as Date).getTime()).toBeLessThan(Date.now());
    row.n = 2;
    expect(await store.set("sid", row)).toBe("OK");
    const left = await raw.pttl(key);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(60_000);
    expect(JSON.parse((await raw.get(key)) as string)).toMatchObject({ n: 2, user: "ada" });
    expect(JSON.parse((await raw.get(key)) as string)).not.toHaveProperty("id");
    expect(await store.sessionsOf("ada")).toHaveLength(1);
  });

  test("that nobody changed, saved, is the same for as long", async () => {
    const { store, raw, key, row } = await listed(lister);
    const before = await raw.get(key);
    expect(await store.set("sid", row)).toBe("OK");
    expect(JSON.parse((await raw.get(key)) as string)).toEqual(JSON.parse(before as string));
    expect(await raw.pttl(key)).toBeLessThanOrEqual(60_000);
  });

  test("does not bring back a session after its logout", async () => {
    const { store, row } = await listed(lister);
    await store.destroy("sid");
    row.n = 2;
    expect(await store.set("sid", row)).toBe("GONE");
    expect(await store.touch("sid", row)).toBe("EXPIRED");
    expect(await store.get("sid")).toBeNull();
  });

  test("touched never shortens a life and never ends one", async () => {
    const { store, raw, key, row } = await listed(lister);
    expect(await store.touch("sid", row)).toBe("OK");
    expect(await raw.pttl(key)).toBeGreaterThan(60_000);
    await raw.send("PEXPIRE", key, "6000000");
    expect(await store.touch("sid", row)).toBe("OK");
    expect(await raw.pttl(key)).toBeGreaterThan(5_000_000);
    await raw.send("PERSIST", key);
    expect(await store.touch("sid", row)).toBe("OK");
    expect(await raw.pttl(key)).toBe(-1);
  });

  test("is refused under another id; a copy of it is a new session", async () => {
    const { store, row } = await listed(lister);
    expect(await refusal(store.set("other", row))).toMatchObject({ code: "ERR_INVALID_SID" });
    expect(await refusal(store.touch("other", row))).toMatchObject({ code: "ERR_INVALID_SID" });
    expect(await store.get("other")).toBeNull();
    const copy = { ...row, cookie: { ...row.cookie, expires: inMs(60_000) } };
    expect(await store.set("other", copy as unknown as SessionData)).toBe("OK");
    expect(await store.get("other")).toMatchObject({ n: 1 });
  });

  test("keeps the creation time of its session", async () => {
    const { store, raw, key, row } = await listed(lister, { absoluteTtl: 3600 });
    const created = (JSON.parse((await raw.get(key)) as string) as AppSession).__createdAt;
    expect(created).toEqual(expect.any(Number));
    row.n = 2;
    expect(await store.set("sid", row)).toBe("OK");
    expect(JSON.parse((await raw.get(key)) as string)).toMatchObject({
      n: 2,
      __createdAt: created,
    });
  });

  if (name !== "all()") {
    test("saved keeps what others have changed meanwhile", async () => {
      const { store, raw, key, row } = await listed(lister);
      const other = await load(store, "sid");
      other.m = 1;
      await store.set("sid", other);
      const left = await raw.pttl(key);
      row.n = 2;
      expect(await store.set("sid", row)).toBe("MERGED");
      expect(JSON.parse((await raw.get(key)) as string)).toMatchObject({ n: 2, m: 1 });
      expect(await raw.pttl(key)).toBeLessThanOrEqual(left);
    });

    test("with a date that the app has set ends then", async () => {
      const { store, raw, key, row } = await listed(lister);
      row.cookie.expires = inMs(3_600_000);
      expect(await store.set("sid", row)).toBe("OK");
      expect(Math.abs((await raw.pttl(key)) - 3_600_000)).toBeLessThan(61_000);
    });
  }
});

unlessSealed.test(
  "an entry says when its session was created, how big it is and that it is plain",
  async () => {
    const store = makeStore(await connect(), { absoluteTtl: 3600 }) as RedisStore;
    const raw = rawOf(await connect());
    await store.set("sid", sessionOf({ name: "Zoë" }));
    const { value: entry } = await store.sessions().next();
    const text = (await raw.get(`${store.prefix}sid`)) as string;
    expect(entry).toMatchObject({ bytes: Buffer.byteLength(text), keyId: null });
    expect(entry?.created?.getTime()).toBe((JSON.parse(text) as AppSession).__createdAt);
  },
);
