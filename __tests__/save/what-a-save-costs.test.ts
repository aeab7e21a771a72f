import { RedisStore as ConnectRedis } from "connect-redis";
import type { RedisClientType } from "redis";
import type { ConflictResolver, RedisStore, RedisStoreOptions } from "../../lib/index.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { record } from "../support/recording.js";
import { compares, load, pair, warmUp } from "../support/requests.js";
import {
  type AppSession,
  connect,
  freshPrefix,
  makeStore,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  unlessSealed,
} from "../support/store.js";
import { through } from "../support/through.js";

type Options = Omit<Partial<RedisStoreOptions>, "client">;

let server: RedisServer;
let observer: ReturnType<typeof rawOf>;
/** The command that a save is. */
let comparison: string;
beforeAll(async () => {
  server = await startRedis();
  observer = rawOf(await connect(6, server.url));
  comparison = (await compares(observer.send)) ? "SET" : "EVALSHA";
});
afterAll(() => server.stop());

/** A store, a sid under which a session is stored, and the client with all that goes through it. */
async function stored(data: object, options: Options = {}, client?: TestClient) {
  const recording = record(client ?? (await connect(6, server.url)));
  const store = makeStore(recording.client, options) as RedisStore;
  await warmUp(store);
  await store.set("sid", sessionOf({ ...data }, { path: "/" }));
  recording.names();
  const key = `${store.prefix}sid`;
  return { store, key, recording, mine: await load(store, "sid") };
}

/** Another server's request changes the session behind the store's back. */
async function change(key: string, changes: object): Promise<void> {
  const session = JSON.parse((await observer.get(key)) ?? "{}") as object;
  await observer.send("SET", key, JSON.stringify({ ...session, ...changes }), "KEEPTTL");
}

async function content(key: string): Promise<AppSession | null> {
  return JSON.parse((await observer.get(key)) ?? "null") as AppSession | null;
}

describe("what a save costs, counted by Redis", () => {
  /** How often each command ran since it was last asked, those inside of scripts left out. */
  async function commandsRun(): Promise<Record<string, number>> {
    const text = await observer.send<string>("INFO", "commandstats");
    await observer.send("CONFIG", "RESETSTAT");
    const counts: Record<string, number> = {};
    for (const [, name = "", calls] of text.matchAll(/cmdstat_(eval\w*|set):calls=(\d+)/g)) {
      counts[name.toUpperCase()] = Number(calls);
    }
    if ("EVALSHA" in counts) delete counts.SET;
    return counts;
  }

  test("one command for an ordinary one, two or three for one that meets another writer", async () => {
    const { store, key, recording, mine } = await stored({ n: 0 });
    mine.n = 1;
    await store.set("sid", mine);
    mine.n = 2;
    recording.names();
    await commandsRun();
    expect(await store.set("sid", mine)).toBe("OK");
    expect(recording.names()).toEqual([comparison]);
    expect(await commandsRun()).toEqual({ [comparison]: 1 });

    await change(key, { other: 1 });
    mine.n = 3;
    expect(await store.set("sid", mine)).toBe("MERGED");
    // A server that compares tells what is there when it is asked again.
    const commands = Array.from({ length: comparison === "SET" ? 3 : 2 }, () => comparison);
    expect(recording.names()).toEqual(commands);

    // What this process wrote before is no hindrance to who has loaded the session since.
    await change(key, { other: 2 });
    const next = await load(store, "sid");
    next.n = 4;
    recording.names();
    expect(await store.set("sid", next)).toBe("OK");
    expect(recording.names()).toEqual([comparison]);
  });

  test("a save that changes nothing is a renewal: the text stays as it is", async () => {
    const { store, key, recording, mine } = await stored({ n: 0, at: new Date(0) });
    const same = { z: 1, n: 0, at: new Date(0), cookie: { path: "/", originalMaxAge: null } };
    await observer.set(key, JSON.stringify(same));
    // Redis learns the script.
    await store.set("sid", mine);
    await observer.send("PEXPIRE", key, "1000");
    const again = await load(store, "sid");
    recording.names();
    // Written anew it would be another text: express-session's Cookie has more to say.
    expect(await store.set("sid", again)).toBe("OK");
    expect(await observer.get(key)).toBe(JSON.stringify(same));
    expect(await observer.pttl(key)).toBeGreaterThan(3_600_000);
    expect(recording.names()).toEqual(["EVALSHA"]);
  });

  test("writers that come one after the other, while others wait, do not compete either", async () => {
    const { store, recording } = await stored({});
    const sessions = await Promise.all(Array.from({ length: 50 }, () => load(store, "sid")));
    recording.names();
    const saves: Promise<string>[] = [];
    for (const [index, session] of sessions.entries()) {
      // Two come for each one that is done.
      saves.push(store.set("sid", Object.assign(session, { [`k${index}`]: 1 })));
      if (index % 2 === 1) await saves[index >> 1];
    }
    expect(new Set(await Promise.all(saves))).toEqual(new Set(["OK", "MERGED"]));
    expect(recording.names()).toHaveLength(50);
  });

  test("fifty writers in one process do not compete: one command each", async () => {
    const { store, key, recording } = await stored({});
    const sessions = await Promise.all(Array.from({ length: 50 }, () => load(store, "sid")));
    recording.names();
    await Promise.all(
      sessions.map((session, index) =>
        store.set("sid", Object.assign(session, { [`k${index}`]: 1 })),
      ),
    );
    expect(recording.names()).toHaveLength(50);
    expect(Object.keys((await content(key)) ?? {})).toHaveLength(51);

    // One command more where another process came between.
    const more = await Promise.all(Array.from({ length: 50 }, () => load(store, "sid")));
    await change(key, { other: 1 });
    recording.names();
    await Promise.all(
      more.map((one, index) => store.set("sid", Object.assign(one, { [`m${index}`]: 1 }))),
    );
    expect(recording.names()).toHaveLength(comparison === "SET" ? 52 : 51);
    expect(Object.keys((await content(key)) ?? {})).toHaveLength(102);
  });
});

describe("another process that writes all the time", () => {
  /** A client before whose every script somebody else writes the session, as often as asked. */
  async function contested(times: number, key: () => string): Promise<TestClient> {
    const client = await connect(6, server.url);
    let written = 0;
    return through(client, async (command, send) => {
      const isSave = command[0] === "EVALSHA" || command.includes("IFEQ");
      if (isSave && !command.includes("GET") && key() !== "" && written < times) {
        await change(key(), { [`other${written % 10}`]: ++written });
      }
      return send();
    });
  }

  test("is met again and again until the save is written with all its changes", async () => {
    let key = "";
    const client = await contested(7, () => key);
    const { store, mine, key: own } = await stored({}, {}, client);
    key = own;
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("MERGED");
    expect(Object.keys((await content(key)) ?? {})).toHaveLength(1 + 7 + 1);
  });

  test.each(["save", "renewal"])("ends a %s with ERR_CONFLICT after the timeout", async (what) => {
    let key = "";
    const client = await contested(Number.POSITIVE_INFINITY, () => key);
    const { store, mine, key: own } = await stored({ n: 0 }, { timeout: 300 }, client);
    key = own;
    if (what === "save") mine.n = 1;
    const error = await refusal(store.set("sid", mine));
    expect(error).toMatchObject({ name: "StoreError", code: "ERR_CONFLICT" });
    expect(error.message).toMatch(/each of \d+ tries.*save it again/);
    expect(await content(key)).toMatchObject({ n: 0 });
  });

  test("ends a save with ERR_CONFLICT after a thousand rounds, however much time is left", async () => {
    let key = "";
    const client = await contested(Number.POSITIVE_INFINITY, () => key);
    const options = { timeout: 60_000 };
    const { store, mine, key: own, recording } = await stored({ n: 0 }, options, client);
    key = own;
    mine.n = 1;
    expect((await refusal(store.set("sid", mine))).code).toBe("ERR_CONFLICT");
    // A round asks twice at the most; what the server can do may have to be found out first.
    expect(recording.names().length).toBeLessThan(2100);
  });
});

test("a command that a client repeats after a reconnect counts as written", async () => {
  const client = await connect(6, server.url);
  let between: (() => Promise<unknown>) | undefined;
  const repeating = through(client, async (command, send) => {
    const first = await send();
    const isWritten = command.includes("IFEQ") ? first === "OK" : first === 1;
    if (command[0] !== comparison || !isWritten) return first;
    // The reply was lost with the connection; the client sends the command again.
    await between?.();
    return send();
  });
  const { store, key, mine } = await stored({ list: [1], user: { id: 1 } }, {}, repeating);
  mine.list = [2];
  expect(await store.set("sid", mine)).toBe("OK");
  mine.list = [3];
  expect(await store.set("sid", mine)).toBe("OK");
  expect(await content(key)).toMatchObject({ list: [3] });

  // Another writer came between the two: it keeps its change.
  between = () => {
    between = undefined;
    return change(key, { other: 1 });
  };
  delete mine.list;
  expect(await store.set("sid", mine)).toBe("MERGED");
  expect(await content(key)).toMatchObject({ other: 1, user: { id: 1 } });
  expect(await content(key)).not.toHaveProperty("list");

  // Or a logout did: it stands.
  between = () => observer.send("DEL", key);
  mine.list = [4];
  expect(await store.set("sid", mine)).toBe("GONE");
  expect(await observer.exists(key)).toBe(false);
});

describe('conflict: "overwrite"', () => {
  test("the last writer wins, with its expiry", async () => {
    const {
      here,
      sid,
      mine,
      other,
      saveOther,
      stored: now,
      pttl,
    } = await pair({ a: 1, b: 1 }, { conflict: "overwrite", ttl: 60 });
    mine.a = 2;
    other.b = 2;
    expect(await saveOther()).toBe("OK");
    expect(await here.set(sid, mine)).toBe("OK");
    expect(await now()).toMatchObject({ a: 2, b: 1 });
    expect(await pttl()).toBeGreaterThan(59_000);
    expect(await pttl()).toBeLessThanOrEqual(61_000);
  });

  test("needs no scripting, and brings no session back", async () => {
    const setUser = "ACL SETUSER app on >pw ~* &* +@all -@scripting".split(" ");
    await observer.send(...(setUser as [string]));
    const client = await connect(6, server.url.replace("//", "//app:pw@"));
    expect(await refusal(client.sendCommand(["EVAL", "return 1", "0"]))).toMatchObject({
      message: expect.stringMatching(/NOPERM/) as string,
    });
    const { store, key, mine } = await stored({ n: 0 }, { conflict: "overwrite" }, client);
    expect(await store.set("sid", mine)).toBe("OK");
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("OK");
    expect(await content(key)).toMatchObject({ n: 1 });
    mine.cookie.maxAge = 5_000_000;
    expect(await store.touch("sid", mine)).toBe("OK");
    expect(await content(key)).toMatchObject({
      cookie: { originalMaxAge: expect.closeTo(5_000_000, -3) },
    });
    await observer.send("DEL", key);
    expect(await store.set("sid", mine)).toBe("GONE");
    mine.n = 2;
    expect(await store.set("sid", mine)).toBe("GONE");
    expect(await store.touch("sid", mine)).toBe("EXPIRED");
    expect(await observer.exists(key)).toBe(false);

    const merging = makeStore(client, { prefix: store.prefix });
    await merging.set("sid", sessionOf({ n: 0 }));
    const loaded = await load(merging, "sid");
    expect(await refusal(merging.set("sid", loaded))).toMatchObject({ code: "ERR_NO_PERMISSION" });
  });

  test("also without an expiry", async () => {
    const { store, key, mine } = await stored(
      { n: 0 },
      { conflict: "overwrite", disableTTL: true },
    );
    expect(await store.set("sid", mine)).toBe("OK");
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("OK");
    expect(await observer.pttl(key)).toBe(-1);
    await observer.send("DEL", key);
    expect(await store.set("sid", mine)).toBe("GONE");
  });
});

describe("a conflict function", () => {
  test("gets the three sessions, and what it returns is stored", async () => {
    const seen: object[][] = [];
    const {
      here,
      there,
      sid,
      mine,
      other,
      saveMine,
      stored: now,
      events,
    } = await pair(
      { base: 1, list: ["a"] },
      {
        conflict: async (ancestor, current, own) => {
          seen.push(structuredClone([ancestor, current, own]));
          const lists = [current, own].map((one) => (one as unknown as { list: string[] }).list);
          return { ...current, list: [...new Set(lists.flat())], chosen: true } as never;
        },
      },
    );
    mine.list = ["a", "mine"];
    other.list = ["a", "other"];
    other.passport = { user: 1 };
    expect(await there.set(sid, other)).toBe("OK");
    expect(seen).toEqual([]);
    expect(await saveMine()).toBe("MERGED");
    expect(seen).toMatchObject([
      [
        { base: 1, list: ["a"] },
        { base: 1, list: ["a", "other"], passport: { user: 1 } },
        { base: 1, list: ["a", "mine"] },
      ],
    ]);
    expect(Object.keys(seen[0]?.[0] ?? {}).sort()).toEqual(["base", "cookie", "list"]);
    expect(await now()).toMatchObject({ list: ["a", "other", "mine"], chosen: true, base: 1 });
    expect(await here.get(sid)).toMatchObject({ chosen: true });
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([["here", "merged", ["/passport/user"], ["/list"]]]);
  });

  test.each<[string, ConflictResolver]>([
    ["change what it gets and return it", (_, current, own) => Object.assign(current, own)],
    [
      "change what it gets and return something else",
      (_, current, own) => ({ ...Object.assign(current, own) }),
    ],
    [
      "return something frozen, as immer does",
      (_, current, own) => Object.freeze({ ...current, ...own, cookie: Object.freeze(own.cookie) }),
    ],
  ])("may %s", async (_, conflict) => {
    const { mine, other, saveMine, saveOther, stored, events } = await pair(
      { list: [1] },
      { conflict },
      { originalMaxAge: 60_000, expires: new Date(Date.now() + 60_000), path: "/" },
    );
    other.o = 1;
    await saveOther();
    mine.n = 1;
    expect(await saveMine()).toBe("MERGED");
    expect(await stored()).toMatchObject({ list: [1], n: 1, o: 1 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([["here", "merged", ["/o"], []]]);
  });

  test("that throws fails the save with its error, and nothing is stored", async () => {
    for (const conflict of [
      () => {
        throw new RangeError("no");
      },
      () => Promise.reject(new RangeError("no")),
    ]) {
      const { mine, other, saveMine, saveOther, stored: now } = await pair({ n: 0 }, { conflict });
      other.o = 1;
      await saveOther();
      mine.n = 1;
      const error = await refusal(saveMine());
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toBe("no");
      expect(await now()).toMatchObject({ n: 0, o: 1 });
    }
  });

  test.each([undefined, null, 5, "text", [1]])("must return a session, not %p", async (value) => {
    const {
      mine,
      other,
      saveMine,
      saveOther,
      stored: now,
    } = await pair({ n: 0 }, { conflict: () => value as never });
    other.o = 1;
    await saveOther();
    mine.n = 1;
    expect(await refusal(saveMine())).toMatchObject({ code: "ERR_INVALID_SESSION" });
    expect(await now()).toMatchObject({ n: 0, o: 1 });
  });

  test("is not asked where nobody else changed anything, or the session has ended", async () => {
    const conflict = jest.fn();
    const { here, sid, mine, saveMine } = await pair({ n: 0 }, { conflict });
    mine.n = 1;
    expect(await saveMine()).toBe("OK");
    mine.n = 2;
    expect(await saveMine()).toBe("OK");
    await here.destroy(sid);
    mine.n = 3;
    expect(await saveMine()).toBe("GONE");
    expect(conflict).not.toHaveBeenCalled();
  });
});

unlessSealed.describe("beside connect-redis on the same keys", () => {
  async function both() {
    const client = await connect(6, server.url);
    const prefix = freshPrefix();
    const ours = makeStore(client, { prefix });
    const theirs = new ConnectRedis({ client: client as unknown as RedisClientType, prefix });
    await theirs.set("sid", sessionOf({ a: 1, b: 1, cookie: { path: "/" } }));
    return { ours, theirs, key: `${prefix}sid` };
  }

  test("our requests keep what theirs changed meanwhile, and never undo their logout", async () => {
    const { ours, theirs, key } = await both();
    const mine = await load(ours, "sid");
    const other = (await theirs.get("sid")) as unknown as { b: number };
    other.b = 2;
    await theirs.set("sid", other as never);
    mine.a = 2;
    expect(await ours.set("sid", mine)).toBe("MERGED");
    expect(await content(key)).toMatchObject({ a: 2, b: 2 });

    await theirs.touch("sid", mine);
    mine.a = 3;
    expect(await ours.set("sid", mine)).toBe("OK");
    expect(await theirs.get("sid")).toMatchObject({ a: 3, b: 2 });

    await theirs.destroy("sid");
    mine.a = 4;
    expect(await ours.set("sid", mine)).toBe("GONE");
    expect(await theirs.get("sid")).toBeFalsy();
  });

  test("their requests still overwrite ours: that ends with the last old server", async () => {
    const { ours, theirs, key } = await both();
    const other = (await theirs.get("sid")) as object;
    const mine = await load(ours, "sid");
    mine.a = 2;
    expect(await ours.set("sid", mine)).toBe("OK");
    await theirs.set("sid", { ...other, b: 2 } as never);
    expect(await content(key)).toMatchObject({ a: 1, b: 2 });
    // What our request changes next is its own change only.
    mine.c = 1;
    expect(await ours.set("sid", mine)).toBe("MERGED");
    expect(await content(key)).toMatchObject({ b: 2, c: 1 });
  });
});
