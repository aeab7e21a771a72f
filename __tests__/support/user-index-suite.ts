import { randomBytes } from "node:crypto";
import { type RedisClient, RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { patternOf } from "../../lib/session/keys.js";
import { endsWithTests, freshPrefix, inMs, PATIENT, refusal, sessionOf, until } from "./store.js";

/** A server, or a cluster, and one client of it. */
export interface Place {
  readonly client: RedisClient;
  /** What the client puts in front of each key. */
  readonly keyPrefix: string;
  /** Sends a command to whoever holds the key. */
  command(key: string, ...command: string[]): Promise<unknown>;
  /** Sends a command to every primary. */
  everywhere(...command: string[]): Promise<unknown[]>;
  close(): unknown;
}

type Options = Omit<Partial<RedisStoreOptions>, "client">;

/** Whose session it is, as the tests keep it in a session. */
export const userId = (session: object) => (session as { user?: string }).user;

export const sidsOf = async (store: RedisStore, user: string) =>
  (await store.sessionsOf(user)).map(({ sid }) => sid);

/** A cookie that lives `ms` from the last use on. */
const living = (ms: number) => ({ originalMaxAge: ms, expires: inMs(ms) });

/** Waits until the clock has moved, so that activities differ. */
export async function tick(): Promise<void> {
  const start = Date.now();
  await until(() => Date.now() > start + 1);
}

/** What the index promises on every topology and with every client. */
export function userIndexSuite(name: string, open: () => Promise<Place>): void {
  describe(name, () => {
    let place: Place;
    let prefix: string;
    beforeAll(async () => {
      place = await open();
    });
    afterAll(() => place?.close());
    beforeEach(() => {
      prefix = freshPrefix();
    });

    const make = (options: Options = {}) =>
      endsWithTests(
        new RedisStore({ client: place.client, prefix, userId, timeout: PATIENT, ...options }),
      );
    const key = (sid: string) => `${place.keyPrefix}${prefix}${sid}`;
    const raw = (sid: string, name: string, ...args: string[]) =>
      place.command(key(sid), name, key(sid), ...args);
    const exists = async (sid: string) => (await raw(sid, "EXISTS")) === 1;
    /** The keys of the indexes of this prefix. */
    const indexes = async () => {
      const found = (
        await place.everywhere("KEYS", `${patternOf(place.keyPrefix)}users-of:${prefix}*`)
      ).flat();
      return found as string[];
    };
    const login = async (store: RedisStore, user: string, sid: string, cookie: object = {}) => {
      await tick();
      return store.set(sid, sessionOf({ user }, cookie));
    };

    test("sessions of a user are listed, the last active one first, with their real expiry", async () => {
      const store = make({ touchAfter: 0 });
      await login(store, "ada", "s1", living(500_000));
      await login(store, "ada", "s2");
      await login(store, "ada", "s3");
      await login(store, "bob", "s4");
      await store.set("s5", sessionOf());
      await tick();
      const first = await store.get("s1");
      expect(await store.touch("s1", first as never)).toBe("OK");
      const listed = await store.sessionsOf("ada");
      expect(listed.map(({ sid }) => sid)).toEqual(["s1", "s3", "s2"]);
      expect(listed[0]?.session).toMatchObject({ user: "ada" });
      const { expires } = listed[0] as { expires: Date };
      expect(
        Math.abs(expires.getTime() - Date.now() - Number(await raw("s1", "PTTL"))),
      ).toBeLessThan(1000);
      expect(await sidsOf(store, "bob")).toEqual(["s4"]);
      expect(await sidsOf(store, "nobody")).toEqual([]);
    });

    test("a row tells when its session was last active, and its handle", async () => {
      const store = make({ touchAfter: 0 });
      const before = Date.now();
      await login(store, "ada", "s1");
      const [first] = await store.sessionsOf("ada");
      expect(Math.abs((first?.lastActive.getTime() ?? 0) - before)).toBeLessThan(5000);
      expect(first?.handle).toBe(store.handleOf("s1"));
      await tick();
      await store.touch("s1", first?.session as never);
      const [later] = await store.sessionsOf("ada");
      expect(later?.lastActive.getTime()).toBeGreaterThan(first?.lastActive.getTime() ?? 0);
    });

    test("one session of a user is ended by its handle, and never one of another user", async () => {
      const store = make();
      for (const sid of ["a", "b"]) await login(store, "ada", sid);
      await login(store, "bob", "c");
      expect(await store.destroyOf("ada", store.handleOf("c"))).toBe(0);
      expect(await store.destroyOf("ada", "a")).toBe(0);
      expect(await store.destroyOf("ada", store.handleOf("a"))).toBe(1);
      expect(await store.destroyOf("ada", store.handleOf("a"))).toBe(0);
      expect(await store.destroyOf("nobody", store.handleOf("b"))).toBe(0);
      expect((await store.ids()).sort()).toEqual(["b", "c"]);
      // What the index of ada still lists is not hers any more.
      await raw("b", "SET", JSON.stringify(sessionOf({ user: "bob" })));
      expect(await store.destroyOf("ada", store.handleOf("b"))).toBe(0);
      expect(await exists("b")).toBe(true);
    });

    test("any text names a user", async () => {
      const store = make();
      const users = [
        "*",
        "a:b",
        "[x]",
        "{}",
        "{",
        "}",
        "a}b{c",
        "Ωλ 🦊",
        "?\\",
        " ",
        "constructor",
        prefix,
      ];
      for (const [index, user] of users.entries()) await login(store, user, `s${index}`);
      for (const [index, user] of users.entries()) {
        expect(await sidsOf(store, user)).toEqual([`s${index}`]);
      }
      expect(await store.destroyAllOf("*")).toBe(1);
      expect(await store.length()).toBe(users.length - 1);
    });

    test("all sessions of a user are ended but the one that is excepted", async () => {
      const store = make();
      for (const sid of ["a", "b", "c", "d"]) await login(store, "ada", sid);
      await login(store, "bob", "other");
      expect(await store.destroyAllOf("ada", { except: "c" })).toBe(3);
      expect(await sidsOf(store, "ada")).toEqual(["c"]);
      await login(store, "ada", "e");
      expect(await store.destroyAllOf("ada", { except: ["c", "e"] })).toBe(0);
      expect(await store.destroyAllOf("ada")).toBe(2);
      expect(await store.ids()).toEqual(["other"]);
      expect(await indexes()).toHaveLength(2);
    });

    test("what expired, or was deleted by another program, is not listed and is dropped", async () => {
      const store = make();
      await login(store, "ada", "short", living(60));
      await login(store, "ada", "deleted");
      await login(store, "ada", "stays");
      await raw("deleted", "DEL");
      await until(async () => !(await exists("short")));
      expect(await sidsOf(store, "ada")).toEqual(["stays"]);
      for (const index of await indexes()) {
        expect(await place.command(index, "ZRANGE", index, "0", "-1")).toEqual(["stays"]);
      }
    });

    test("a session that is destroyed leaves nothing behind", async () => {
      const store = make();
      await login(store, "ada", "a");
      await login(store, "ada", "b");
      expect(await make().destroy("a")).toBe(1);
      for (const index of await indexes()) {
        expect(await place.command(index, "ZRANGE", index, "0", "-1")).toEqual(["b"]);
      }
      expect(await store.destroy("b")).toBe(1);
      expect(await store.destroy("b")).toBe(0);
      expect(await indexes()).toEqual([]);
    });

    test("the index ends with the last of its sessions", async () => {
      const store = make();
      await login(store, "ada", "long", living(900_000));
      await login(store, "ada", "short", living(100_000));
      const session = Number(await raw("long", "PTTL"));
      const keys = await indexes();
      expect(keys).toHaveLength(2);
      for (const index of keys) {
        const left = Number(await place.command(index, "PTTL", index));
        // Each is written by a command of its own, and that of the session may arrive later.
        expect(left).toBeGreaterThan(session - 1000);
        // An index outlives its last session by three times `timeout`.
        expect(left).toBeLessThan(session + 3 * PATIENT + 1000);
      }
      await login(make({ timeout: 100 }), "eve", "brief", living(50));
      await until(async () => (await indexes()).length === 2);
    });

    test("the index is no session: not listed, not counted, and cleared with the sessions", async () => {
      const store = make();
      await login(store, "ada", "a");
      await login(store, "bob", "b");
      expect(await store.length()).toBe(2);
      expect((await store.ids()).sort()).toEqual(["a", "b"]);
      expect((await store.all()).map(({ id }) => id).sort()).toEqual(["a", "b"]);
      const under = (await place.everywhere("KEYS", patternOf(place.keyPrefix + prefix))).flat();
      expect((under as string[]).sort()).toEqual([key("a"), key("b")]);
      expect(await indexes()).toHaveLength(4);
      expect(await store.clear()).toBe(2);
      expect(await indexes()).toEqual([]);
    });

    test("a session that changes its user moves", async () => {
      const store = make();
      await login(store, "ada", "s");
      const session = (await store.get("s")) as never as { user?: string };
      session.user = "bob";
      expect(await store.set("s", session as never)).toBe("OK");
      expect(await sidsOf(store, "ada")).toEqual([]);
      expect(await sidsOf(store, "bob")).toEqual(["s"]);
      delete session.user;
      expect(await store.set("s", session as never)).toBe("OK");
      expect(await indexes()).toEqual([]);
      expect(await exists("s")).toBe(true);
    });

    test.each(["merge", "overwrite"] as const)(
      "one login too many ends the session that was not active for longest: %s",
      async (conflict) => {
        const store = make({ maxSessionsPerUser: 2, touchAfter: 0, conflict });
        await login(store, "ada", "long", living(900_000));
        await login(store, "ada", "short", living(100_000));
        await tick();
        await store.touch("long", (await store.get("long")) as never);
        expect(await login(store, "ada", "newest", living(50_000))).toBe("OK");
        expect(await sidsOf(store, "ada")).toEqual(["newest", "long"]);
        expect(await exists("short")).toBe(false);
        // An anonymous session that logs in counts too.
        await store.set("anonymous", sessionOf());
        const session = (await store.get("anonymous")) as never as { user?: string };
        session.user = "ada";
        await tick();
        expect(await store.set("anonymous", session as never)).toBe("OK");
        expect(await sidsOf(store, "ada")).toEqual(["anonymous", "newest"]);
        // Who is logged in goes on.
        const own = (await store.get("newest")) as never as { n: number };
        own.n = 1;
        expect(await store.set("newest", own as never)).toBe("OK");
        expect(await store.length()).toBe(2);
      },
    );

    test("dead entries do not make a live session leave", async () => {
      const store = make({ maxSessionsPerUser: 2 });
      await login(store, "ada", "old");
      await login(store, "ada", "dead");
      await raw("dead", "DEL");
      await login(store, "ada", "new");
      expect(await sidsOf(store, "ada")).toEqual(["new", "old"]);
    });

    test("one login too many is rejected and not stored", async () => {
      const store = make({ maxSessionsPerUser: 2, onLimit: "reject" });
      await login(store, "ada", "a");
      await login(store, "ada", "b");
      const error = await refusal(Promise.resolve(login(store, "ada", "c")));
      expect(error).toMatchObject({ name: "StoreError", code: "ERR_TOO_MANY_SESSIONS" });
      expect(await exists("c")).toBe(false);
      await store.set("anonymous", sessionOf({ n: 1 }));
      const session = (await store.get("anonymous")) as never as { user?: string };
      session.user = "ada";
      const refused = await refusal(store.set("anonymous", session as never) as Promise<unknown>);
      expect(refused.code).toBe("ERR_TOO_MANY_SESSIONS");
      expect(await store.get("anonymous")).not.toHaveProperty("user");
      // Others are not concerned, nor is who is logged in.
      expect(await login(store, "bob", "other")).toBe("OK");
      expect(await login(store, "ada", "a")).toBe("OK");
      const own = (await store.get("b")) as never as { n: number };
      own.n = 1;
      expect(await store.set("b", own as never)).toBe("OK");
      expect((await sidsOf(store, "ada")).sort()).toEqual(["a", "b"]);
      // Nobody is locked out by what is not there any more.
      await raw("a", "DEL");
      expect(await store.set("anonymous", session as never)).toBe("OK");
      expect((await sidsOf(store, "ada")).sort()).toEqual(["anonymous", "b"]);
    });

    test.each(["evict-oldest", "reject"] as const)(
      "40 logins at the same moment on two servers leave exactly the limit: %s",
      async (onLimit) => {
        const second = await open();
        try {
          const options: Options = { maxSessionsPerUser: 5, onLimit };
          const servers = [
            make(options),
            endsWithTests(
              new RedisStore({
                client: second.client,
                prefix,
                userId,
                timeout: PATIENT,
                ...options,
              }),
            ),
          ];
          const sids = Array.from({ length: 40 }, () => randomBytes(6).toString("hex"));
          const outcomes = await Promise.allSettled(
            sids.map((sid, index) =>
              (servers[index % 2] as RedisStore).set(sid, sessionOf({ user: "ada" })),
            ),
          );
          const refused = outcomes.filter(({ status }) => status === "rejected");
          expect(refused).toHaveLength(onLimit === "reject" ? 35 : 0);
          const [store] = servers as [RedisStore];
          expect(await store.length()).toBe(5);
          expect((await sidsOf(store, "ada")).sort()).toEqual((await store.ids()).sort());
        } finally {
          await second.close();
        }
      },
    );

    test("sessions in bytes are indexed too", async () => {
      const serializer = {
        binary: true as const,
        parse: (bytes: Buffer) => JSON.parse(bytes.subarray(1).toString()) as unknown,
        stringify: (session: object) =>
          Buffer.concat([Buffer.from([255]), Buffer.from(JSON.stringify(session))]),
      };
      const store = make({ serializer, maxSessionsPerUser: 1 });
      await login(store, "ada", "one");
      await login(store, "ada", "ü{2}");
      expect(await sidsOf(store, "ada")).toEqual(["ü{2}"]);
      expect(await store.destroyAllOf("ada")).toBe(1);
      expect(await indexes()).toEqual([]);
    });
  });
}
