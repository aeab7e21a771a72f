import type { SessionData } from "express-session";
import { createClientPool } from "redis";
import { RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { INDEX_EVICT, INDEX_PAGE, REMOVE_SEEN } from "../../lib/users/scripts.js";
import { poolOptions } from "../conformance/clients.js";
import { record } from "../support/recording.js";
import { compares, warmUp } from "../support/requests.js";
import {
  connect,
  freshPrefix,
  makeStore,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  until,
  url,
} from "../support/store.js";
import { through } from "../support/through.js";
import { sidsOf, tick, userId } from "../support/user-index-suite.js";

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

type Options = Omit<Partial<RedisStoreOptions<TestClient>>, "client">;
type Loaded = SessionData & { user?: string; n?: number };

/** A store whose commands are written down, the index being on. */
async function recorded(options: Options = {}) {
  /** How many commands had been sent when each answer came. */
  const sent: number[] = [];
  const recording = record(client, (_, reply) => {
    sent.push(recording.commands.length);
    return reply;
  });
  const store = makeStore(recording.client, { userId, ...options });
  await warmUp(store);
  recording.commands.length = 0;
  recording.names();
  sent.length = 0;
  return {
    ...recording,
    sent,
    store,
    load: async (sid: string) => (await store.get(sid)) as Loaded,
  };
}

/** A client on which the process ends: from the moment on that `isLast` finds, nothing is sent. */
function dying(isLast: (command: string[]) => boolean): TestClient {
  let isDead = false;
  return through(client, async (command, send) => {
    isDead ||= isLast(command);
    if (isDead) throw new Error("the process has ended");
    return send();
  });
}

const isScript = ([name]: string[]) => name === "EVALSHA";
/** Whether a command is for the index. */
const isForIndex = (command: string[]) => isScript(command) && command[2] === "2";

/** Has all scripts known to the server, so that none is sent twice. */
beforeAll(async () => {
  for (const onLimit of ["evict-oldest", "reject"] as const) {
    const store = makeStore(client, { userId, touchAfter: 0, maxSessionsPerUser: 1, onLimit });
    await store.set("a", sessionOf({ user: "ada" }));
    await store.set("b", sessionOf({ user: "ada" })).catch(() => {});
    for (const { session, sid } of await store.sessionsOf("ada")) {
      const loaded = (await store.get(sid)) as Loaded;
      loaded.n = session ? 1 : 2;
      await store.set(sid, loaded);
      await tick();
      await store.touch(sid, loaded);
    }
    await store.destroyAllOf("ada");
    await store.set("c", sessionOf({ user: "ada" }));
    await store.destroy("c");
  }
});

/** Users with one session at a time; who has one is refused another. */
const onePlace = () => ({
  prefix: freshPrefix(),
  userId,
  maxSessionsPerUser: 1,
  onLimit: "reject" as const,
});

describe("cost", () => {
  test("sessions without a user cost nothing", async () => {
    const { store, names, load } = await recorded({ touchAfter: 0, maxSessionsPerUser: 2 });
    await store.set("s", sessionOf());
    const session = await load("s");
    session.n = 1;
    await store.set("s", session);
    await tick();
    await store.touch("s", session);
    const save = (await compares(rawOf(client).send)) ? "SET" : "EVALSHA";
    expect(names()).toEqual(["SET", "GET", save, "EVALSHA"]);
  });

  test("a read-only request within touchAfter costs nothing", async () => {
    const { store, names, load } = await recorded();
    await store.set("s", sessionOf({ user: "ada" }));
    await tick();
    await store.touch("s", await load("s"));
    names();
    await tick();
    await store.touch("s", await load("s"));
    expect(names()).toEqual(["GET"]);
  });

  test.each(["evict-oldest", "reject"] as const)(
    "a save and a renewal cost one more command, which is sent along: %s",
    async (onLimit) => {
      const { store, commands, sent, load } = await recorded({
        touchAfter: 0,
        maxSessionsPerUser: 2,
        onLimit,
      });
      await store.set("s", sessionOf({ user: "ada" }, { originalMaxAge: 60_000 }));
      const session = await load("s");
      await tick();
      for (const use of [
        () => store.set("s", Object.assign(session, { n: 1 })),
        () => store.touch("s", session),
      ]) {
        await tick();
        commands.length = 0;
        sent.length = 0;
        await use();
        expect(sent).toEqual([2, 2]);
        expect(commands.map(isForIndex)).toEqual([false, true]);
      }
    },
  );

  test("a login is one command more, sent along, unless it has to be asked for", async () => {
    const { store, names, commands } = await recorded({ maxSessionsPerUser: 2 });
    await store.set("s", sessionOf({ user: "ada" }));
    expect(names()).toEqual(["SET", "EVALSHA"]);
    const asking = await recorded({ maxSessionsPerUser: 2, onLimit: "reject" });
    await asking.store.set("s", sessionOf({ user: "ada" }));
    expect(asking.names()).toEqual(["EVALSHA", "SET", "EVALSHA"]);
    expect(commands).toHaveLength(2);
  });
});

test("over several connections an entry comes after its session, which others look at", async () => {
  const pool = createClientPool({ url }, poolOptions);
  pool.on("error", () => {});
  await pool.connect();
  try {
    /** Of each command whether all before it had been answered. */
    const waited: boolean[] = [];
    let open = 0;
    const recorded = through(pool, async (_command, send) => {
      waited.push(open++ === 0);
      try {
        return await send();
      } finally {
        open--;
      }
    });
    const store = new RedisStore({ client: recorded, prefix: freshPrefix(), userId });
    await warmUp(store);
    waited.length = 0;
    await store.set("s", sessionOf({ user: "ada" }));
    expect(waited.splice(0)).toEqual([true, true]);
    await store.set("anonymous", sessionOf());
    const session = (await store.get("anonymous")) as Loaded;
    session.user = "ada";
    waited.length = 0;
    await store.set("anonymous", session);
    expect(waited.splice(0)).toEqual([true, true]);
    // One that has its entry is sent along.
    session.n = 1;
    await store.set("anonymous", session);
    expect(waited).toEqual([true, false]);
  } finally {
    pool.destroy();
  }
});

describe("a process that ends in between", () => {
  const prefixed = (options: Options = {}) => {
    const prefix = freshPrefix();
    const all = { prefix, userId, timeout: 5000, ...options };
    return {
      store: makeStore(client, all),
      until: (isLast: (command: string[]) => boolean) => makeStore(dying(isLast), all),
      key: (sid: string) => prefix + sid,
    };
  };

  test("after the session was stored and before its entry: the next save or renewal adds it", async () => {
    const { store, until: dies } = prefixed({ touchAfter: 0 });
    const failing = dies(isForIndex);
    expect((await refusal(failing.set("s", sessionOf({ user: "ada" })))).code).toBe(
      "ERR_UNAVAILABLE",
    );
    expect(await sidsOf(store, "ada")).toEqual([]);
    await store.touch("s", (await store.get("s")) as Loaded);
    expect(await sidsOf(store, "ada")).toEqual(["s"]);
  });

  test("a renewal whose entry failed is not taken for done", async () => {
    let fails = false;
    const prefix = freshPrefix();
    const store = makeStore(
      record(client, (command, reply) => {
        if (fails && isForIndex(command)) throw new Error("lost");
        return reply;
      }).client,
      { prefix, userId },
    );
    await store.set("s", sessionOf({ user: "ada" }));
    const session = (await store.get("s")) as Loaded;
    await tick();
    fails = true;
    await refusal(store.touch("s", session));
    await rawOf(client).send("DEL", ...(await keysOf(prefix)));
    fails = false;
    await store.touch("s", session);
    expect(await sidsOf(store, "ada")).toEqual(["s"]);
  });

  test("after the session was removed and before its entry: it is not listed, and dropped", async () => {
    const { store, until: dies, key } = prefixed();
    await store.set("s", sessionOf({ user: "ada" }));
    let scripts = 0;
    // The logout itself has succeeded.
    expect(await dies((command) => isScript(command) && ++scripts === 2).destroy("s")).toBe(1);
    expect(await keysOf(key(""))).toHaveLength(2);
    expect(await sidsOf(store, "ada")).toEqual([]);
    expect(await keysOf(key(""))).toEqual([]);
  });

  test("while it makes room: the next one who asks goes on", async () => {
    const { store, until: dies } = prefixed({ maxSessionsPerUser: 1 });
    await store.set("old", sessionOf({ user: "ada" }));
    await refusal(
      dies(([, sha]) => sha === REMOVE_SEEN.sha).set("new", sessionOf({ user: "ada" })),
    );
    expect((await store.ids()).sort()).toEqual(["new", "old"]);
    // What is losing its place neither counts, nor comes back, nor is listed.
    expect(await sidsOf(store, "ada")).toEqual(["new"]);
    expect(await store.ids()).toEqual(["new"]);
  });

  test("while it makes room: a session that lost its place cannot save itself", async () => {
    const { store, until: dies } = prefixed({ maxSessionsPerUser: 1 });
    await store.set("old", sessionOf({ user: "ada" }));
    const old = (await store.get("old")) as Loaded;
    await refusal(
      dies(([, sha]) => sha === REMOVE_SEEN.sha).set("new", sessionOf({ user: "ada" })),
    );
    old.n = 1;
    expect(await store.set("old", old)).toBe("GONE");
    expect(await store.ids()).toEqual(["new"]);
  });

  test("while a session changes its user: it is only the new one's", async () => {
    const { store, until: dies } = prefixed({ touchAfter: 0 });
    await store.set("s", sessionOf({ user: "ada" }));
    const failing = dies(isForIndex);
    const session = (await failing.get("s")) as Loaded;
    session.user = "bob";
    await refusal(failing.set("s", session));
    expect(await store.destroyAllOf("ada")).toBe(0);
    expect(await sidsOf(store, "ada")).toEqual([]);
    const same = (await store.get("s")) as Loaded;
    expect(same.user).toBe("bob");
    await store.touch("s", same);
    expect(await sidsOf(store, "bob")).toEqual(["s"]);
  });

  test("between taking a place and storing the session: the place lapses", async () => {
    const { store, until: dies } = prefixed({
      maxSessionsPerUser: 1,
      onLimit: "reject",
      timeout: 50,
    });
    await refusal(dies(([name]) => name === "SET").set("s", sessionOf({ user: "ada" })));
    const refused = await refusal(store.set("next", sessionOf({ user: "ada" })));
    expect(refused.code).toBe("ERR_TOO_MANY_SESSIONS");
    await until(async () =>
      store.set("next", sessionOf({ user: "ada" })).then(
        () => true,
        () => false,
      ),
    );
    expect(await sidsOf(store, "ada")).toEqual(["next"]);
  });
});

async function keysOf(prefix: string): Promise<string[]> {
  return rawOf(client).send<string[]>("KEYS", `*users-of:${prefix}*`);
}

test("the session being written is not the one that makes room, though others were written later", async () => {
  const prefix = freshPrefix();
  // A server on which the limit is not set yet.
  const other = makeStore(client, { prefix, userId });
  let isFirst = true;
  const slow = through(client, async (command, send) => {
    if (command[1] === INDEX_EVICT.sha && isFirst) {
      isFirst = false;
      // This login comes in between, and is younger.
      await other.set("younger", sessionOf({ user: "ada" }));
    }
    return send();
  });
  const store = makeStore(slow, { prefix, userId, maxSessionsPerUser: 1 });
  await store.set("old", sessionOf({ user: "ada" }));
  expect(await store.set("written", sessionOf({ user: "ada" }))).toBe("OK");
  expect(isFirst).toBe(false);
  expect(await sidsOf(store, "ada")).toEqual(["written"]);
  expect(await store.ids()).toEqual(["written"]);
});

describe("who is who", () => {
  test("a session that another program gave to another user is neither listed nor ended nor evicted", async () => {
    const store = makeStore(client, { userId, maxSessionsPerUser: 1 });
    await store.set("s", sessionOf({ user: "ada" }));
    const text = JSON.stringify(sessionOf({ user: "bob" }));
    await rawOf(client).send("SET", `${store.prefix}s`, text, "PX", "60000");
    await store.set("new", sessionOf({ user: "ada" }));
    expect(await sidsOf(store, "ada")).toEqual(["new"]);
    expect(await store.destroyAllOf("ada")).toBe(1);
    expect(await store.get("s")).toMatchObject({ user: "bob" });
  });

  test("a save that is discarded leaves no entry", async () => {
    const store = makeStore(client, { userId });
    await store.set("s", sessionOf({ user: "ada" }));
    const session = (await store.get("s")) as Loaded;
    await rawOf(client).send("DEL", `${store.prefix}s`);
    session.n = 1;
    expect(await store.set("s", session)).toBe("GONE");
    expect(await keysOf(store.prefix)).toEqual([]);
  });

  test("a login that is discarded gives its place back", async () => {
    const store = makeStore(client, { userId, maxSessionsPerUser: 1, onLimit: "reject" });
    await store.set("s", sessionOf());
    const session = (await store.get("s")) as Loaded;
    await rawOf(client).send("DEL", `${store.prefix}s`);
    session.user = "ada";
    expect(await store.set("s", session)).toBe("GONE");
    expect(await store.set("next", sessionOf({ user: "ada" }))).toBe("OK");
  });

  test("a place that is given back while it is looked for is taken", async () => {
    const options = onePlace();
    const other = makeStore(client, options);
    await other.set("a", sessionOf({ user: "ada" }));
    const slow = through(client, async (command, send) => {
      if (command[1] === INDEX_PAGE.sha) await other.destroy("a");
      return send();
    });
    expect(await makeStore(slow, options).set("b", sessionOf({ user: "ada" }))).toBe("OK");
    expect(await sidsOf(other, "ada")).toEqual(["b"]);
  });

  test("looking at the sessions of a user does not take the place of a login under way", async () => {
    const options = onePlace();
    const other = makeStore(client, options);
    const looked: unknown[] = [];
    const look = async () => {
      looked.push(await other.sessionsOf("ada"), await other.destroyAllOf("ada"));
      looked.push((await refusal(other.set("b", sessionOf({ user: "ada" })))).code);
    };
    let gate = Promise.resolve();
    const slow = through(client, async ([name], send) => {
      if (name === "SET") gate = look();
      // All that follows waits too: the connection keeps the order.
      await gate;
      return send();
    });
    await makeStore(slow, options).set("a", sessionOf({ user: "ada" }));
    expect(looked).toEqual([[], 0, "ERR_TOO_MANY_SESSIONS"]);
    expect(await sidsOf(other, "ada")).toEqual(["a"]);
  });

  test("a renewal of a session that was logged out meanwhile does not list it again", async () => {
    const store = makeStore(client, { userId, touchAfter: 0 });
    await store.set("s", sessionOf({ user: "ada" }));
    const slow = (await store.get("s")) as Loaded;
    const logout = (await store.get("s")) as Loaded;
    delete logout.user;
    await store.set("s", logout);
    await tick();
    expect(await store.touch("s", slow)).toBe("OK");
    expect(await keysOf(store.prefix)).toEqual([]);
  });

  test("a merged session is its own user's, whatever the function makes of it", async () => {
    const store = makeStore(client, {
      userId,
      conflict: (_ancestor, current) => current,
    });
    await store.set("s", sessionOf());
    const a = (await store.get("s")) as Loaded;
    const b = (await store.get("s")) as Loaded;
    a.user = "ada";
    b.user = "bob";
    await store.set("s", a);
    await store.set("s", b);
    expect(await keysOf(store.prefix)).toHaveLength(2);
    expect(await sidsOf(store, "ada")).toEqual(["s"]);
    expect(await sidsOf(store, "bob")).toEqual([]);
  });

  test("sessions that never expire are indexed for as long as they live", async () => {
    const store = makeStore(client, { userId, disableTTL: true, maxSessionsPerUser: 2 });
    for (const sid of ["a", "b", "c"]) await store.set(sid, sessionOf({ user: "ada" }));
    const listed = await store.sessionsOf("ada");
    expect(listed.map(({ sid, expires }) => [sid, expires])).toEqual([
      ["c", null],
      ["b", null],
    ]);
    const keys = await keysOf(store.prefix);
    for (const key of keys) expect(await rawOf(client).pttl(key)).toBe(-1);
    await store.destroy("b");
    await store.destroy("c");
    expect(await keysOf(store.prefix)).toEqual([]);
  });

  test("an object made by hand is renewed and indexed", async () => {
    const store = makeStore(client, { userId, touchAfter: 0 });
    await rawOf(client).set(`${store.prefix}s`, JSON.stringify(sessionOf({ user: "ada" })));
    expect(await store.touch("s", sessionOf({ user: "ada" }))).toBe("OK");
    expect(await sidsOf(store, "ada")).toEqual(["s"]);
  });

  test.each(["", 7.5, Number.NaN, 2 ** 53, {}, true])(
    "a user id of %p is refused and nothing stored",
    async (user) => {
      const store = makeStore(client, { userId });
      const error = await refusal(store.set("s", sessionOf({ user })));
      expect(error).toMatchObject({ code: "ERR_INVALID_SESSION" });
      expect(await store.ids()).toEqual([]);
      for (const asked of [store.sessionsOf(user as string), store.destroyAllOf(user as string)]) {
        expect((await refusal(asked)).code).toBe("ERR_INVALID_SESSION");
      }
    },
  );

  test.each([undefined, null])("a user id of %p means none", async (user) => {
    const store = makeStore(client, { userId });
    expect(await store.set("s", sessionOf({ user }))).toBe("OK");
  });

  test("a userId function that throws is an error of the save, and hides no stored session", async () => {
    const store = makeStore(client, {
      userId: (session) => (session as unknown as { user: { id: string } }).user.id,
    });
    expect((await refusal(store.set("s", sessionOf()))).code).toBe("ERR_INVALID_SESSION");
    await rawOf(client).set(`${store.prefix}s`, JSON.stringify(sessionOf()));
    expect(await store.get("s")).toBeTruthy();
  });
});

describe("many sessions", () => {
  test("of one user are listed and ended, however many", async () => {
    const store = makeStore(client, { userId, timeout: 15_000 });
    const sids = Array.from({ length: 3000 }, (_, index) => `s${index}`);
    await Promise.all(sids.map((sid) => store.set(sid, sessionOf({ user: "ada" }))));
    expect((await sidsOf(store, "ada")).sort()).toEqual(sids.sort());
    expect(await store.destroyAllOf("ada", { except: "s7" })).toBe(2999);
    expect(await store.ids()).toEqual(["s7"]);
  });

  test("that are too many when the limit is introduced leave one by one", async () => {
    const store = makeStore(client, { userId });
    for (let n = 0; n < 10; n++) await store.set(`s${n}`, sessionOf({ user: "ada" }));
    const limited = makeStore(client, { userId, prefix: store.prefix, maxSessionsPerUser: 3 });
    await limited.set("new", sessionOf({ user: "ada" }));
    expect(await sidsOf(store, "ada")).toEqual(["new", "s9", "s8"]);
  });
});

describe("callbacks and options", () => {
  test("the methods call back", async () => {
    const store = makeStore(client, { userId });
    await store.set("a", sessionOf({ user: "ada" }));
    await store.set("b", sessionOf({ user: "ada" }));
    const listed = await new Promise((resolve) =>
      store.sessionsOf("ada", (_error, sessions) => resolve(sessions?.map(({ sid }) => sid))),
    );
    expect(listed).toEqual(["b", "a"]);
    const one = new Promise((resolve) =>
      store.destroyAllOf("ada", { except: "a" }, (_error, count) => resolve(count)),
    );
    expect(await one).toBe(1);
    const rest = new Promise((resolve) =>
      store.destroyAllOf("ada", (_error, count) => resolve(count)),
    );
    expect(await rest).toBe(1);
  });

  test("without userId nobody has sessions", async () => {
    const store = makeStore(client);
    for (const asked of [store.sessionsOf("ada"), store.destroyAllOf("ada")]) {
      expect(await refusal(asked)).toMatchObject({
        code: "ERR_INVALID_OPTION",
        message: expect.stringContaining('"userId"'),
      });
    }
  });

  test.each([
    [{ userId, prefix: "" }, "prefix"],
    [{ maxSessionsPerUser: 1 }, "userId"],
    [{ userId, onLimit: "reject" }, "maxSessionsPerUser"],
    [{ userId, maxSessionsPerUser: 0 }, "whole number"],
    [{ userId, maxSessionsPerUser: 1, onLimit: "newest" }, "evict-oldest"],
  ])("%p is refused", (options, text) => {
    expect(() => makeStore(client, options as Options)).toThrow(text);
  });

  test.each(["u", "users-of:", "users-of:x{", ":", "{}", "%"])(
    "the index is outside of the session prefix %p",
    async (start) => {
      const own = freshPrefix();
      const prefix = `${start}${own}{}`;
      const store = makeStore(client, { userId, prefix });
      await store.set("s", sessionOf({ user: "ada" }));
      expect(await store.ids()).toEqual(["s"]);
      const keys = () => rawOf(client).send<string[]>("KEYS", `*${own}*`);
      const all = await keys();
      expect(all).toHaveLength(3);
      expect(all.filter((key) => key.startsWith(prefix))).toEqual([`${prefix}s`]);
      expect(await sidsOf(store, "ada")).toEqual(["s"]);
      expect(await store.clear()).toBe(1);
      expect(await keys()).toEqual([]);
    },
  );
});
