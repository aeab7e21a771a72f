import { randomBytes } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import type { SessionData } from "express-session";
import { createPort } from "../../lib/client/index.js";
import {
  type RedisClient,
  RedisStore,
  type RedisStoreOptions,
  type SessionPage,
} from "../../lib/index.js";
import { PATIENT, sessionOf, unlessSealed, until } from "../support/store.js";

/** A client whose adapter is tested, and a way to look behind its back. */
export interface Subject {
  /** What goes into the option `client`. */
  readonly client: RedisClient;
  /** What the client puts in front of every key. */
  readonly keyPrefix?: string;
  /** Sends a command to the primary that holds `key`, past the client. */
  command(key: string, ...command: (string | Buffer)[]): Promise<unknown>;
  /** Sends a command to every primary, past the client. */
  everywhere(...command: string[]): Promise<unknown>;
  /** Ends the client. */
  close(): unknown;
}

/** Sessions and keys of the suite start with this, after the client's own prefix. */
export const OWN = "conformance:";

/** Every character that means something in a pattern of Redis, or in a slot. */
const GLOBS = ["*", "?", "[ab]", "[^a]", "a-z]", "[", "\\", "\\*", "{tag}", "}{", "é✓ "];

type Data = SessionData & Record<string, unknown>;
type Options = Partial<RedisStoreOptions>;

const BINARY = {
  binary: true,
  parse: (bytes: Buffer): unknown => JSON.parse(gunzipSync(bytes).toString()),
  stringify: (session: object) => gzipSync(JSON.stringify(session)),
} as const;

/**
 * What the store promises over any client and topology: run for each adapter against real servers.
 *
 * @param name - of the client and its topology, for the report
 * @param open - makes the client, connected or connecting; called once
 */
export function conformance(name: string, open: () => Promise<Subject>): void {
  describe(name, () => {
    let subject: Subject;
    beforeAll(async () => {
      subject = await open();
    });
    const stores: RedisStore[] = [];
    afterAll(() => {
      for (const store of stores.splice(0)) store.close();
      return subject?.close();
    });
    // A listing goes past all keys of its servers: no test pays for what others have left.
    beforeEach(() => subject.everywhere("FLUSHALL"));

    const newPrefix = () => `${OWN}${randomBytes(9).toString("base64url")}:`;
    const newStore = (options: Options = {}) => {
      const own = { prefix: newPrefix(), timeout: PATIENT, ...options };
      const store = new RedisStore({ ...own, client: subject.client });
      stores.push(store);
      return store;
    };
    /** Another server of the same app. */
    const sibling = (store: RedisStore, options: Options = {}) =>
      newStore({ ...options, prefix: store.prefix });
    const raw = (key: string, command: string, ...args: (string | Buffer)[]) => {
      const whole = `${subject.keyPrefix ?? ""}${key}`;
      return subject.command(whole, command, whole, ...args);
    };
    const load = async (store: RedisStore, sid: string) => {
      const session = (await store.get(sid)) as Data | null;
      if (session === null) throw new Error(`there is no session ${sid}`);
      return session;
    };
    const saveMany = async (store: RedisStore, count: number) => {
      const sids = Array.from({ length: count }, (_, index) => `sid-${index}`);
      // Some clients limit what is under way.
      for (let start = 0; start < count; start += 250) {
        const some = sids.slice(start, start + 250);
        await Promise.all(
          some.map((sid, index) => store.set(sid, sessionOf({ index: start + index }))),
        );
      }
      return sids;
    };

    describe("one session", () => {
      unlessSealed.test(
        "is read as it was written, under its prefix and the client's, as JSON",
        async () => {
          const store = newStore();
          const session = sessionOf({
            text: "é✓\n\u0000\u{1f600}",
            nested: { list: [1, null, ""] },
          });
          expect(await store.set("sid", session)).toBe("OK");
          expect(await store.get("sid")).toEqual(session);
          expect(await raw(`${store.prefix}sid`, "GET")).toBe(JSON.stringify(session));
        },
      );

      test("is null where there is none", async () => {
        expect(await newStore().get("nobody")).toBeNull();
      });

      test("may be large, and its id any text", async () => {
        const store = newStore();
        const large = "x".repeat(1_000_000);
        for (const sid of ["{a}b", "a b\r\n", "é✓", "*"]) {
          await store.set(sid, sessionOf({ large }));
          expect(await load(store, sid)).toMatchObject({ large });
        }
      });

      test("lives for its milliseconds", async () => {
        const store = newStore();
        const key = `${store.prefix}sid`;
        await store.set("sid", sessionOf({}, { expires: new Date(Date.now() + 5_500) }));
        const left = Number(await raw(key, "PTTL"));
        expect(left).toBeGreaterThan(3_000);
        expect(left).toBeLessThanOrEqual(5_500);
        await store.set("sid", sessionOf({}, { expires: new Date(Date.now() + 60) }));
        await until(async () => (await store.get("sid")) === null);
        expect(await raw(key, "EXISTS")).toBe(0);
      });

      test("is deleted by a save after its expiry", async () => {
        const store = newStore();
        await store.set("sid", sessionOf());
        await store.set("sid", sessionOf({}, { expires: new Date(Date.now() - 1) }));
        expect(await raw(`${store.prefix}sid`, "EXISTS")).toBe(0);
      });

      test("lives for ever with disableTTL, also after a change", async () => {
        const store = newStore({ disableTTL: true });
        await store.set("sid", sessionOf());
        await store.set("sid", Object.assign(await load(store, "sid"), { a: 1 }));
        expect(await raw(`${store.prefix}sid`, "PTTL")).toBe(-1);
      });

      test("is renewed by a touch, which tells when there is none", async () => {
        const store = newStore({ ttl: 100, touchAfter: 0 });
        await store.set("sid", sessionOf());
        await raw(`${store.prefix}sid`, "PEXPIRE", "1000");
        // This one has not written the session, and so cannot know that there is nothing to do.
        const other = sibling(store, { ttl: 100, touchAfter: 0 });
        const session = await load(other, "sid");
        expect(await other.touch("sid", session)).toBe("OK");
        expect(Number(await raw(`${store.prefix}sid`, "PTTL"))).toBeGreaterThan(90_000);
        expect(await store.touch("nobody", sessionOf())).toBe("EXPIRED");
        await raw(`${store.prefix}sid`, "DEL");
        expect(await sibling(store).touch("sid", session)).toBe("EXPIRED");
        expect(await raw(`${store.prefix}sid`, "EXISTS")).toBe(0);
      });

      test("is renewed by what the app made by hand too", async () => {
        const store = newStore({ ttl: 100, touchAfter: 0 });
        await raw(`${store.prefix}sid`, "SET", JSON.stringify(sessionOf()));
        expect(await store.touch("sid", sessionOf())).toBe("OK");
        expect(Number(await raw(`${store.prefix}sid`, "PTTL"))).toBeGreaterThan(90_000);
      });

      test("is destroyed once", async () => {
        const store = newStore();
        await store.set("sid", sessionOf());
        expect(await store.destroy("sid")).toBe(1);
        expect(await store.destroy("sid")).toBe(0);
        expect(await store.get("sid")).toBeNull();
      });

      test("of which the key holds something else is an error and not a miss", async () => {
        const store = newStore();
        await raw(`${store.prefix}list`, "RPUSH", "a");
        await raw(`${store.prefix}text`, "SET", "no session");
        for (const sid of ["list", "text"]) {
          await expect(store.get(sid)).rejects.toMatchObject({ code: "ERR_CORRUPT_SESSION" });
        }
      });

      test("ends at the deadline that it was created with", async () => {
        const store = newStore({ rolling: false, ttl: 100 });
        await store.set("sid", sessionOf());
        const before = Number(await raw(`${store.prefix}sid`, "PTTL"));
        await store.set("sid", Object.assign(await load(store, "sid"), { a: 1 }));
        await store.touch("sid", await load(store, "sid"));
        expect(Number(await raw(`${store.prefix}sid`, "PTTL"))).toBeLessThanOrEqual(before);
      });
    });

    describe("two requests at once", () => {
      test("keep both changes", async () => {
        const store = newStore();
        await store.set("sid", sessionOf({ start: 1 }));
        const slow = await load(store, "sid");
        const other = sibling(store);
        const fast = await load(other, "sid");
        fast.b = 2;
        expect(await other.set("sid", fast)).toBe("OK");
        slow.a = 1;
        delete slow.start;
        expect(await store.set("sid", slow)).toBe("MERGED");
        const both = await load(store, "sid");
        expect(both).toMatchObject({ a: 1, b: 2 });
        expect(both).not.toHaveProperty("start");
        expect(Number(await raw(`${store.prefix}sid`, "PTTL"))).toBeGreaterThan(0);
      });

      test("of many servers lose nothing", async () => {
        const first = newStore();
        await first.set("sid", sessionOf());
        const servers = Array.from({ length: 8 }, () => sibling(first));
        const loaded = await Promise.all(servers.map((store) => load(store, "sid")));
        await Promise.all(
          servers.map((store, index) =>
            store.set("sid", Object.assign(loaded[index] as Data, { [`k${index}`]: index })),
          ),
        );
        const { cookie: _, ...data } = await load(first, "sid");
        expect(data).toEqual(Object.fromEntries(servers.map((_, index) => [`k${index}`, index])));
      });

      test("do not bring back a session that the one destroyed", async () => {
        const store = newStore();
        const discarded: unknown[] = [];
        store.on("discarded", (_sid, reason) => discarded.push(reason));
        await store.set("sid", sessionOf({ user: "u" }));
        const slow = await load(store, "sid");
        expect(await sibling(store).destroy("sid")).toBe(1);
        slow.a = 1;
        expect(await store.set("sid", slow)).toBe("GONE");
        expect(await raw(`${store.prefix}sid`, "EXISTS")).toBe(0);
        await until(() => discarded.length === 1);
        expect(discarded).toEqual(["missing"]);
      });

      test("overwrite each other if told to, but still bring nothing back", async () => {
        const store = newStore({ conflict: "overwrite" });
        await store.set("sid", sessionOf());
        const [one, two] = [await load(store, "sid"), await load(sibling(store), "sid")];
        one.a = 1;
        two.b = 2;
        expect(await store.set("sid", one)).toBe("OK");
        await sibling(store, { conflict: "overwrite" }).set("sid", two);
        const late = await load(store, "sid");
        await store.destroy("sid");
        late.c = 3;
        expect(await store.set("sid", late)).toBe("GONE");
        expect(await raw(`${store.prefix}sid`, "EXISTS")).toBe(0);
      });

      test("leave the decision to a function", async () => {
        const store = newStore({
          conflict: (_ancestor, current, mine) => ({ ...mine, ...current }),
        });
        await store.set("sid", sessionOf({ count: 0 }));
        const mine = await load(store, "sid");
        const other = sibling(store);
        await other.set("sid", Object.assign(await load(other, "sid"), { count: 7 }));
        mine.count = 1;
        mine.a = 1;
        expect(await store.set("sid", mine)).toBe("MERGED");
        expect(await load(store, "sid")).toMatchObject({ a: 1, count: 7 });
      });
    });

    describe("compare-and-set", () => {
      const MINUTE = 60_000;
      const portOf = (binary = false) => createPort(subject.client, binary, 2_000, () => {});
      const newKey = () => `${newPrefix()}key`;
      const left = async (key: string) => Number(await raw(key, "PTTL"));

      test("writes where the key holds what is expected, with its expiry", async () => {
        const port = portOf();
        const key = newKey();
        await raw(key, "SET", "é✓\u0000");
        expect(await port.replace(key, "é✓\u0000", "é✓\u0000 2", MINUTE)).toBe(true);
        expect(await raw(key, "GET")).toBe("é✓\u0000 2");
        expect(await left(key)).toBeGreaterThan(MINUTE / 2);
        expect(await left(key)).toBeLessThanOrEqual(MINUTE);
      });

      test("writes without an expiry, or keeps the one that there is", async () => {
        const port = portOf();
        const key = newKey();
        await raw(key, "SET", "a", "PX", String(MINUTE));
        expect(await port.replace(key, "a", "b", "keep")).toBe(true);
        expect(await left(key)).toBeGreaterThan(MINUTE / 2);
        expect(await port.replace(key, "b", "c", null)).toBe(true);
        expect(await left(key)).toBe(-1);
        expect(await raw(key, "GET")).toBe("c");
      });

      test.each([MINUTE, null, "keep"] as const)(
        "answers what is there instead, and leaves it alone: %s",
        async (px) => {
          const port = portOf();
          const key = newKey();
          expect(await port.replace(key, "a", "b", px)).toBeNull();
          expect(await raw(key, "EXISTS")).toBe(0);
          // What is to be written may be there already: by whom, the key does not tell.
          for (const there of ["other", "", "A", "b"]) {
            await raw(key, "SET", there, "PX", "5000");
            expect(await port.replace(key, "a", "b", px)).toBe(there);
            expect(await raw(key, "GET")).toBe(there);
            expect(await left(key)).toBeLessThanOrEqual(5_000);
          }
        },
      );

      test("compares bytes, also such as are no text", async () => {
        const [port, bytes] = [portOf(), portOf(true)];
        const key = newKey();
        await raw(key, "SET", Buffer.from([0xc3, 0x28]));
        // Read as text both are the same, by a client that reads such bytes as text at all.
        const compared = port.replace(key, "\ufffd(", "b", MINUTE).catch(() => null);
        expect(await compared).not.toBe(true);
        const reply = await bytes.replace(key, Buffer.from([0xc3, 0x29]), "b", MINUTE);
        expect(reply).toEqual(Buffer.from([0xc3, 0x28]));
        const written = bytes.replace(key, Buffer.from([0xc3, 0x28]), Buffer.from([0xff]), MINUTE);
        expect(await written).toBe(true);
        expect(await bytes.get(key)).toEqual(Buffer.from([0xff]));
      });

      test("of a key that holds something else is an error", async () => {
        const key = newKey();
        await raw(key, "RPUSH", "a");
        const refused = portOf().replace(key, "a", "b", MINUTE);
        await expect(refused).rejects.toMatchObject({ code: "ERR_CORRUPT_SESSION" });
      });
    });

    test("scripts that the servers have forgotten are sent again", async () => {
      const store = newStore();
      await store.set("sid", sessionOf());
      for (const value of [1, 2]) {
        const session = Object.assign(await load(store, "sid"), { value });
        await subject.everywhere("SCRIPT", "FLUSH");
        expect(await store.set("sid", session)).toBe("OK");
        expect(await load(store, "sid")).toMatchObject({ value });
      }
    });

    test("Redis is asked how long it takes to answer", async () => {
      const ms = await newStore().ping();
      expect(ms).toBeGreaterThan(0);
    });

    test("it is remembered why sessions were ended, wherever their notes lie", async () => {
      const store = newStore({ endings: { keepFor: 60 } });
      const sids = await saveMany(store, 8);
      for (const sid of sids) expect(await store.destroy(sid)).toBe(1);
      for (const sid of sids) {
        expect(await store.whyGone(sid)).toMatchObject({ reason: "logout", at: expect.any(Date) });
      }
      expect(await store.whyGone("nobody")).toMatchObject({ reason: "expired-or-evicted" });
      const binary = sibling(store, { serializer: BINARY, endings: { keepFor: 60 } });
      expect(await binary.whyGone("sid-0")).toEqual(await store.whyGone("sid-0"));
      // A note that is evicted leaves no reason, and not that of another session.
      const gone = { reason: "expired-or-evicted", at: null, because: undefined };
      for (const sid of sids.slice(1)) {
        expect(await raw(`ended:${store.prefix}${store.handleOf(sid)}`, "DEL")).toBe(1);
        expect(await store.whyGone(sid)).toEqual(gone);
      }
      expect(await store.whyGone("sid-0")).toMatchObject({ reason: "logout" });
    });

    test.each([undefined, BINARY])(
      "sessions may be encrypted: serializer %#",
      async (serializer) => {
        const keys = { a: randomBytes(32), b: randomBytes(32) };
        const encryption = { keys, write: "a", plaintextUntil: null };
        const options = { serializer, encryption, absoluteTtl: 100, touchAfter: 0 };
        const store = newStore(options);
        const key = `${store.prefix}sid`;
        await store.set("sid", sessionOf({ a: 1 }));
        expect(String(await raw(key, "GET"))).toMatch(/^rss1\.a\.[\w-]+$/);
        const mine = await load(store, "sid");
        const other = sibling(store, { ...options, encryption: { ...encryption, write: "b" } });
        await other.set("sid", Object.assign(await load(other, "sid"), { b: 2 }));
        await subject.everywhere("SCRIPT", "FLUSH");
        expect(await store.set("sid", Object.assign(mine, { a: 3 }))).toBe("MERGED");
        expect(String(await raw(key, "GET"))).toMatch(/^rss1\.a\./);
        const session = await load(other, "sid");
        expect(await other.touch("sid", session)).toBe("OK");
        expect(String(await raw(key, "GET"))).toMatch(/^rss1\.b\./);
        expect(await store.all()).toMatchObject([{ id: "sid", a: 3, b: 2 }]);
        const refused = sibling(store, { serializer }).get("sid");
        await expect(refused).rejects.toMatchObject({ code: "ERR_UNKNOWN_KEY" });
        expect(await other.destroy("sid")).toBe(1);
        expect(await store.set("sid", Object.assign(mine, { a: 4 }))).toBe("GONE");
      },
    );

    test("sessions may be bytes that are no text", async () => {
      const store = newStore({ serializer: BINARY });
      await store.set("sid", sessionOf({ a: 1 }));
      const mine = await load(store, "sid");
      const other = sibling(store, { serializer: BINARY });
      await other.set("sid", Object.assign(await load(other, "sid"), { b: 2 }));
      await subject.everywhere("SCRIPT", "FLUSH");
      expect(await store.set("sid", Object.assign(mine, { a: 3 }))).toBe("MERGED");
      expect(await load(store, "sid")).toMatchObject({ a: 3, b: 2 });
      expect(await store.all()).toMatchObject([{ id: "sid", a: 3, b: 2 }]);
    });

    describe("all sessions", () => {
      test("are counted, listed, read and removed, whatever their slots", async () => {
        const store = newStore({ scanCount: 1 });
        const sids = (await saveMany(store, 2_500)).sort();
        expect(await store.length()).toBe(2_500);
        expect((await store.ids()).sort()).toEqual(sids);
        const all = (await store.all()) as (Data & { id: string })[];
        expect(all.map(({ id }) => id).sort()).toEqual(sids);
        expect(all.filter(({ id, index }) => id !== `sid-${String(index)}`)).toEqual([]);

        const seen = new Set<string>();
        const wrong: unknown[] = [];
        for await (const { sid, session, expires } of store.sessions()) {
          seen.add(sid);
          const left = (expires as Date).getTime() - Date.now();
          const isRight =
            (session as Data).index === Number(sid.slice(4)) &&
            Math.abs(left - 86_400_000) < 60_000;
          if (!isRight) wrong.push([sid, session, left]);
        }
        expect(wrong).toEqual([]);
        expect([...seen].sort()).toEqual(sids);
        expect(await store.clear()).toBe(2_500);
        expect(await store.length()).toBe(0);
      });

      test("are listed by pages, each of them in some process, whatever their slots", async () => {
        const store = newStore();
        const sids = (await saveMany(store, 600)).sort();
        const seen = new Set<string>();
        let cursor: string | null = null;
        let pages = 0;
        do {
          const page: SessionPage = await sibling(store).page({ cursor, limit: 50 });
          pages++;
          expect(page.entries.length).toBeLessThan(200);
          for (const { sid, handle, session, expires } of page.entries) {
            seen.add(sid);
            expect((session as Data).index).toBe(Number(sid.slice(4)));
            expect(handle).toBe(store.handleOf(sid));
            expect((expires as Date).getTime()).toBeGreaterThan(Date.now());
          }
          cursor = page.cursor;
        } while (cursor !== null);
        expect([...seen].sort()).toEqual(sids);
        expect(pages).toBeGreaterThan(5);
      });

      test("are none where there are none", async () => {
        const store = newStore();
        expect([await store.all(), await store.ids()]).toEqual([[], []]);
        expect([await store.length(), await store.clear()]).toEqual([0, 0]);
        for await (const entry of store.sessions()) expect(entry).toBeUndefined();
      });

      test("may end while they are listed", async () => {
        const store = newStore();
        const other = sibling(store);
        await saveMany(store, 1_500);
        let cleared = false;
        for await (const { session } of store.sessions()) {
          if (!cleared) await other.clear();
          cleared = true;
          expect(session).toBeDefined();
        }
        expect(await store.length()).toBe(0);
      });

      test("need not be read to the end", async () => {
        const store = newStore();
        await saveMany(store, 50);
        for await (const { sid } of store.sessions()) {
          expect(sid).toMatch(/^sid-/);
          break;
        }
        expect(await store.clear()).toBe(50);
      });

      test("do not include what is no session", async () => {
        const store = newStore();
        const corrupt: unknown[] = [];
        store.on("corrupt", (_sid, error: { code: string }) => corrupt.push(error.code));
        await store.set("good", sessionOf({ a: 1 }));
        await raw(`${store.prefix}text`, "SET", "no session");
        await raw(`${store.prefix}list`, "RPUSH", "a");
        expect(await store.all()).toMatchObject([{ id: "good", a: 1 }]);
        await until(() => corrupt.length === 1);
        expect(corrupt).toEqual(["ERR_CORRUPT_SESSION"]);
        expect(await store.clear()).toBe(2);
        expect(await raw(`${store.prefix}list`, "EXISTS")).toBe(1);
      });

      test.each(GLOBS)("of a prefix with %s are those alone", async (glob) => {
        const base = newPrefix();
        const prefix = `${base}${glob}:`;
        const store = newStore({ prefix });
        await store.set("one", sessionOf());
        await store.set("*", sessionOf());
        // What the prefix would match as a pattern, and what surrounds it.
        const foreign = ["a:x", "b:x", "anything:x", "[:x", "*:", "\\:x", ":x", "", `x${glob}:x`];
        const others = foreign.map((rest) => base + rest).filter((key) => !key.startsWith(prefix));
        others.push(prefix.slice(0, -1), prefix.toUpperCase());
        for (const key of others) await raw(key, "SET", "{}");
        expect((await store.ids()).sort()).toEqual(["*", "one"]);
        expect(await store.length()).toBe(2);
        expect((await store.all()).map(({ id }) => id).sort()).toEqual(["*", "one"]);
        expect(await store.clear()).toBe(2);
        for (const key of others) expect(await raw(key, "EXISTS")).toBe(1);
        for (const key of others) await raw(key, "DEL");
      });
    });
  });
}
