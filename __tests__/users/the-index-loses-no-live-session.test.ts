import { createHash } from "node:crypto";
import type { SessionData } from "express-session";
import type { RedisStoreOptions } from "../../lib/index.js";
import {
  INDEX_EXPECT,
  INDEX_FORGET,
  INDEX_PAGE,
  INDEX_WRITTEN,
  REMOVE_SEEN,
} from "../../lib/users/scripts.js";
import { faulty } from "../support/faults.js";
import { record } from "../support/recording.js";
import { generated } from "../support/requests.js";
import {
  connect,
  freshPrefix,
  inMs,
  makeStore,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  unlessSealed,
  until,
} from "../support/store.js";
import { through } from "../support/through.js";
import { sidsOf, userId } from "../support/user-index-suite.js";

let client: TestClient;
let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  client = await connect();
  raw = rawOf(client);
});

type Options = Omit<Partial<RedisStoreOptions<TestClient>>, "client">;
type Loaded = SessionData & { user?: string; n?: number };

const ada = (data: object = {}) => sessionOf({ user: "ada", ...data });
const isScript =
  ({ sha, source }: { sha: string; source: string }) =>
  ([name, script]: string[]) =>
    (name === "EVALSHA" && script === sha) || (name === "EVAL" && script === source);

/** A client on which something comes in between, once, just before a command is sent. */
function interrupted(isThen: (command: string[]) => boolean, what: () => Promise<unknown>) {
  let isDone = false;
  return through(client, async (command, send) => {
    if (!isDone && isThen(command)) {
      isDone = true;
      await what();
    }
    return send();
  });
}

/** The connection ends before the answer comes. */
const connectionLost = () => new Error("Socket closed unexpectedly");

/** The ends of the sessions of ada, as the index has them. */
const endsIn = ({ prefix }: { prefix: string }) =>
  `users-of:${prefix}{${Buffer.from("ada").toString("base64url")}}:ends`;

/** When the entry of a session of ada ends, in ms. */
async function endOf(store: { prefix: string }, sid: string): Promise<number> {
  return Number(await raw.send("ZSCORE", endsIn(store), sid));
}

/** Has an entry end in a minute, as if the login had been long ago; when that is, in ms. */
async function endSoon(store: { prefix: string }, sid: string): Promise<number> {
  const soon = Date.now() + 60_000;
  await raw.send("ZADD", endsIn(store), String(soon), sid);
  return soon;
}

/** Two stores on the same sessions: one over `special`, and an undisturbed one. */
function pair(special: (other: ReturnType<typeof makeStore>) => TestClient, options: Options = {}) {
  const settings = { userId, prefix: freshPrefix(), ...options };
  const other = makeStore(client, settings);
  return { other, store: makeStore(special(other), settings) };
}

describe("a session that is stored anew between its removal and the removal of its entry stays listed", () => {
  test.each([
    ["destroyAllOf", (store: ReturnType<typeof makeStore>) => store.destroyAllOf("ada")],
    [
      "destroyOf",
      (store: ReturnType<typeof makeStore>) => store.destroyOf("ada", store.handleOf("s")),
    ],
    ["destroy", (store: ReturnType<typeof makeStore>) => store.destroy("s")],
  ])("by %s", async (_, end) => {
    const { store, other } = pair((undisturbed) =>
      interrupted(isScript(INDEX_FORGET), () => undisturbed.set("s", ada({ n: 2 }))),
    );
    await other.set("s", ada());
    expect(await end(store)).toBe(1);
    expect(await other.get("s")).toMatchObject({ n: 2 });
    expect(await sidsOf(other, "ada")).toEqual(["s"]);
    expect(await other.destroyAllOf("ada")).toBe(1);
  });
});

test("a session that becomes another user's while it is being ended is not ended", async () => {
  const { store, other } = pair((undisturbed) =>
    interrupted(isScript(REMOVE_SEEN), async () => {
      const session = (await undisturbed.get("s")) as Loaded;
      session.user = "bob";
      await undisturbed.set("s", session);
    }),
  );
  await other.set("s", ada());
  expect(await store.destroyAllOf("ada")).toBe(0);
  expect(await sidsOf(other, "bob")).toEqual(["s"]);
  expect(await sidsOf(other, "ada")).toEqual([]);
});

test("a session that changes while it is being ended is ended as it is then", async () => {
  const { store, other } = pair((undisturbed) =>
    interrupted(isScript(REMOVE_SEEN), async () => {
      await undisturbed.set("s", Object.assign((await undisturbed.get("s")) as Loaded, { n: 1 }));
    }),
  );
  await other.set("s", ada());
  expect(await store.destroyAllOf("ada")).toBe(1);
  expect(await other.ids()).toEqual([]);
});

test("a save that finds another user's session leaves that user's entry alone", async () => {
  const settings = { userId, prefix: freshPrefix(), touchAfter: 0 };
  const [store, other] = [makeStore(client, settings), makeStore(client, settings)];
  await store.set("s", ada());
  const slow = (await store.get("s")) as Loaded;
  const changing = (await other.get("s")) as Loaded;
  changing.user = "bob";
  await other.set("s", changing);
  // Unchanged it is a renewal, of a session that is bob's by now.
  await store.set("s", slow);
  slow.n = 1;
  expect(await store.set("s", slow)).toBe("GONE");
  expect(await sidsOf(store, "bob")).toEqual(["s"]);
  expect(await sidsOf(store, "ada")).toEqual([]);
  expect(await store.destroyAllOf("bob")).toBe(1);
});

test("clear() leaves the entries of sessions that are stored meanwhile", async () => {
  let removals = 0;
  const { store, other } = pair((undisturbed) =>
    through(client, async (command, send) => {
      const answer = await send();
      // Behind the scan, which does not see it any more.
      if (command[0] === "UNLINK" && removals++ === 0) await undisturbed.set("new", ada());
      return answer;
    }),
  );
  await other.set("old", ada());
  expect(await store.clear()).toBe(1);
  expect(removals).toBeGreaterThan(0);
  expect(await other.ids()).toEqual(["new"]);
  expect(await sidsOf(other, "ada")).toEqual(["new"]);
});

describe("a write without an answer", () => {
  /** Answers a command of the session `s` only when it is too late, but has it executed. */
  const late = (isIt: (command: string[]) => boolean) =>
    through(client, async (command, send) => {
      const answer = await send();
      if (isIt(command)) await new Promise((resolve) => setTimeout(resolve, 200));
      return answer;
    });
  const isOfSession = (prefix: string) => (command: string[]) =>
    (/^EVAL/.test(command[0] ?? "") && command[2] === "1" && command[3] === `${prefix}s`) ||
    (command.includes("IFEQ") && command[1] === `${prefix}s`);

  test("leaves a login on the same session id listed at once, or when Redis answers again", async () => {
    const prefix = freshPrefix();
    const settings = { userId, prefix, conflict: "merge" as const };
    const other = makeStore(client, settings);
    await other.set("s", sessionOf());
    const store = makeStore(late(isOfSession(prefix)), { ...settings, timeout: 100 });
    const session = (await store.get("s")) as Loaded;
    session.user = "ada";
    expect((await refusal(store.set("s", session))).code).toBe("ERR_TIMEOUT");
    await until(async () => (await sidsOf(other, "ada")).includes("s"));
    expect(await other.destroyAllOf("ada")).toBe(1);
  });

  test("of the index leaves a login listed when Redis answers again", async () => {
    let isLost = true;
    const { store, other } = pair(
      () =>
        through(client, (command, send) => {
          if (isLost && isScript(INDEX_WRITTEN)(command)) {
            return Promise.reject(new Error("the connection was lost"));
          }
          if (isLost && command[2] === "2") return Promise.reject(new Error("it still is"));
          return send();
        }),
      {},
    );
    expect((await refusal(store.set("s", ada()))).code).toBe("ERR_UNAVAILABLE");
    expect(await other.get("s")).toMatchObject({ user: "ada" });
    expect(await sidsOf(other, "ada")).toEqual([]);
    isLost = false;
    await until(async () => (await sidsOf(other, "ada")).includes("s"));
  });

  test("under reject, a login whose index write was lost keeps its place for as long as it lives", async () => {
    const { store, other } = pair(
      () =>
        through(client, (command, send) =>
          isScript(INDEX_WRITTEN)(command)
            ? Promise.reject(new Error("the connection was lost"))
            : send(),
        ),
      { maxSessionsPerUser: 1, onLimit: "reject", timeout: 50 },
    );
    await store.set("s", ada()).catch(() => {});
    const over = Date.now() + 200;
    await until(() => Date.now() > over);
    expect((await refusal(other.set("next", ada()))).code).toBe("ERR_TOO_MANY_SESSIONS");
    expect(await sidsOf(other, "ada")).toEqual(["s"]);
  });

  test("under reject, a login that was logged out keeps its place for as long as its write may come", async () => {
    const faults = faulty(client);
    const { store, other } = pair(() => faults.client, {
      maxSessionsPerUser: 1,
      onLimit: "reject",
      timeout: 300,
    });
    faults.fate = ([name]) => (name === "SET" ? "late" : undefined);
    expect((await refusal(store.set("s", ada()))).code).toBe("ERR_TIMEOUT");
    faults.fate = () => undefined;
    await until(async () => (await store.destroy("s").catch(() => -1)) === 0);
    // Given up at the logout, the place would be the next one's, and this a session too many.
    await faults.arrive();
    await until(async () => {
      const isIn = (await other.set("next", ada()).catch(() => "")) === "OK";
      expect(await other.length()).toBeLessThan(2);
      return isIn;
    });
    expect(await sidsOf(other, "ada")).toEqual(["next"]);
  });

  test("of a new session that is removed leaves it listed when it is saved again, though its entry is dropped meanwhile", async () => {
    let saves = 0;
    const { store, other } = pair(
      (undisturbed) =>
        through(client, async (command, send) => {
          if (command[0] !== "SET" || !command.includes("NX")) return send();
          // The entry was sent along with what finds nothing; this is what stores the session after all.
          if (++saves === 2) expect(await sidsOf(undisturbed, "ada")).toEqual([]);
          const answer = await send();
          if (saves === 1) throw connectionLost();
          return answer;
        }),
      // So that both commands give it the same life.
      { disableTTL: true },
    );
    const session = generated("s", { user: "ada" });
    expect((await refusal(store.set("s", session))).code).toBe("ERR_UNAVAILABLE");
    expect(await raw.send("DEL", `${store.prefix}s`)).toBe(1);
    expect(await store.set("s", session)).toBe("OK");
    expect(saves).toBe(2);
    expect(await sidsOf(other, "ada")).toEqual(["s"]);
  });

  test("leaves a session listed for as long as the longest life that it may have", async () => {
    let isLost = true;
    let isExecuted = true;
    const { store, other } = pair(() =>
      through(client, async (command, send) => {
        const isSave = command[0] === "SET";
        if (isSave && isExecuted) await send();
        if (isLost && (isSave || command[2] === "2")) throw connectionLost();
        return send();
      }),
    );
    const lasting = (hours: number) => {
      const originalMaxAge = hours * 3_600_000;
      return sessionOf({ user: "ada" }, { originalMaxAge, expires: inMs(originalMaxAge) });
    };
    expect((await refusal(store.set("s", lasting(3)))).code).toBe("ERR_UNAVAILABLE");
    isExecuted = false;
    expect((await refusal(store.set("s", lasting(1)))).code).toBe("ERR_UNAVAILABLE");
    isLost = false;
    await until(async () => (await sidsOf(other, "ada")).includes("s"));
    expect(await endOf(store, "s")).toBeGreaterThan(Date.now() + 2 * 3_600_000);
  });

  test.each<[string, (store: ReturnType<typeof makeStore>) => Promise<SessionData | undefined>]>([
    ["by a row", async (store) => (await store.sessions().next()).value?.session],
    ["by an object made by hand", async () => ada()],
  ])("of a renewal leaves the session listed for as long as it lives: %s", async (_, held) => {
    const { store, other } = pair(
      () =>
        through(client, async (command, send) => {
          const answer = await send();
          if (command[0] === "PEXPIRE") throw connectionLost();
          return answer;
        }),
      { timeout: 400 },
    );
    await other.set("s", ada());
    const session = (await held(store)) as SessionData;
    await raw.send("PEXPIRE", `${store.prefix}s`, "60000");
    const soon = await endSoon(store, "s");
    expect((await refusal(store.touch("s", session))).code).toMatch(/^ERR_(UNAVAILABLE|TIMEOUT)$/);
    expect(await raw.pttl(`${store.prefix}s`)).toBeGreaterThan(120_000);
    await until(async () => (await endOf(store, "s")) > soon + 60_000);
  });

  test("of a login leaves the session listed all the while that a touch stores its cookie", async () => {
    let isLost = false;
    const forgotten: string[] = [];
    const { store, other } = pair(() =>
      through(client, async (command, send) => {
        const answer = await send();
        if (isScript(INDEX_FORGET)(command)) forgotten.push(command[5] as string);
        // Only the session: its entry is written.
        if (isLost && command[2] !== "2") throw connectionLost();
        return answer;
      }),
    );
    await other.set("s", sessionOf());
    const session = (await store.get("s")) as Loaded;
    session.user = "ada";
    isLost = true;
    expect((await refusal(store.set("s", session))).code).toBe("ERR_UNAVAILABLE");
    isLost = false;
    expect(await sidsOf(other, "ada")).toEqual(["s"]);
    session.cookie.originalMaxAge = 9_000_000;
    expect(await store.touch("s", session)).toBe("OK");
    expect(forgotten).toEqual([]);
    expect(await sidsOf(other, "ada")).toEqual(["s"]);
  });

  test("of a row of all() that is given back leaves the session listed that it makes the user's again", async () => {
    let isLost = false;
    const { store, other } = pair(
      () =>
        through(client, async (command, send) => {
          const answer = await send();
          if (isLost && command[0] === "SET") throw connectionLost();
          return answer;
        }),
      { timeout: 400 },
    );
    await other.set("s", ada());
    const [row] = await store.all();
    const session = (await other.get("s")) as Loaded;
    delete session.user;
    expect(await other.set("s", session)).toBe("OK");
    expect(await sidsOf(other, "ada")).toEqual([]);
    isLost = true;
    const given = refusal(store.set("s", row as SessionData));
    expect((await given).code).toMatch(/^ERR_(UNAVAILABLE|TIMEOUT)$/);
    expect(await other.get("s")).toMatchObject({ user: "ada" });
    await until(async () => (await sidsOf(other, "ada")).includes("s"));
  });
});

describe("under reject, two logins under one session id at once", () => {
  const onePlace: Options = { maxSessionsPerUser: 1, onLimit: "reject" };

  test("have one place: the second is not refused because of the first", async () => {
    const { store, other } = pair(
      (undisturbed) =>
        interrupted(isScript(INDEX_PAGE), async () => {
          expect(await undisturbed.set("s", ada({ n: 1 }))).toBe("OK");
        }),
      onePlace,
    );
    // The place is taken by what is not there any more.
    await other.set("dead", ada());
    await raw.send("DEL", `${store.prefix}dead`);
    expect(await store.set("s", ada({ n: 2 }))).toBe("OK");
    expect(await sidsOf(other, "ada")).toEqual(["s"]);
    expect((await refusal(other.set("next", ada()))).code).toBe("ERR_TOO_MANY_SESSIONS");
  });

  test("have one place: the first, whose question for it has no answer, does not give it back", async () => {
    const forgotten: string[] = [];
    const { store, other } = pair(
      (undisturbed) =>
        through(client, async (command, send) => {
          const answer = await send();
          if (isScript(INDEX_FORGET)(command)) forgotten.push(command[5] as string);
          if (!isScript(INDEX_EXPECT)(command)) return answer;
          if (command[5] === "s") await undisturbed.set("s", ada());
          throw connectionLost();
        }),
      onePlace,
    );
    expect((await refusal(store.set("s", ada()))).code).toBe("ERR_UNAVAILABLE");
    expect((await refusal(store.set("t", sessionOf({ user: "bob" })))).code).toBe(
      "ERR_UNAVAILABLE",
    );
    // What is made good of the second comes after what is made good of the first.
    await until(() => forgotten.includes("t"));
    expect(forgotten).toEqual(["t"]);
    expect(await sidsOf(other, "ada")).toEqual(["s"]);
  });
});

test("destroyAllOf() finds by a scan what no index names, and nobody else's", async () => {
  const store = makeStore(client, { userId });
  await store.set("listed", ada());
  for (const [sid, user] of [
    ["unlisted", "ada"],
    ["spared", "ada"],
    ["bobs", "bob"],
  ] as const) {
    await raw.set(`${store.prefix}${sid}`, JSON.stringify(sessionOf({ user })));
  }
  await raw.set(`${store.prefix}text`, "no session");
  expect(await store.destroyAllOf("ada", { except: "spared" })).toBe(1);
  expect(await store.destroyAllOf("ada", { except: "spared", scan: true })).toBe(1);
  expect((await store.ids()).sort()).toEqual(["bobs", "spared", "text"]);
  expect(await store.destroyAllOf("ada", { scan: true })).toBe(1);
  expect((await store.ids()).sort()).toEqual(["bobs", "text"]);
});

test("a safe integer names a user, and counts as its decimal text", async () => {
  const store = makeStore(client, {
    userId: (session) => (session as unknown as { user: number | string }).user,
  });
  await store.set("a", sessionOf({ user: 7 }));
  await store.set("b", sessionOf({ user: "7" }));
  const session = (await store.get("a")) as SessionData & { user: unknown };
  session.user = "7";
  expect(await store.set("a", session)).toBe("OK");
  expect((await store.sessionsOf(7)).map(({ sid }) => sid).sort()).toEqual(["a", "b"]);
  expect(await store.sessionsOf("7")).toHaveLength(2);
  expect(await store.destroyAllOf(7)).toBe(2);
});

describe("a limit of more than a thousand", () => {
  const LIMIT = 1200;
  /** The entries of an index in the order in which a reader gets them, by pages. */
  async function pagesOf(prefix: string): Promise<string[][]> {
    const [name = ""] = await raw.send<string[]>("KEYS", `*users-of:${prefix}*:active`);
    const pages: string[][] = [];
    let cursor = "0";
    do {
      const [next, flat] = await raw.send<[string, string[]]>(
        "ZSCAN",
        name,
        cursor,
        "COUNT",
        "1000",
      );
      pages.push(flat.filter((_, n) => n % 2 === 0));
      cursor = next;
    } while (cursor !== "0");
    return pages;
  }

  /** A user who has all the sessions of the limit; one of those behind the first thousand is dead. */
  async function full(options: Options) {
    const store = makeStore(client, { userId, maxSessionsPerUser: LIMIT, ...options });
    const filling = makeStore(client, { userId, prefix: store.prefix, timeout: 30_000 });
    for (let n = 0; n < LIMIT; n += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, m) => filling.set(`s${n + m}`, ada())));
    }
    const pages = await pagesOf(store.prefix);
    expect(pages.length).toBeGreaterThan(1);
    const dead = String(pages.at(-1)?.find((sid) => Number(sid.slice(1)) >= 1000));
    expect(await raw.send("DEL", store.prefix + dead)).toBe(1);
    return { store, dead };
  }

  test("refuses no login while there is a place", async () => {
    const { store } = await full({ onLimit: "reject" });
    expect(await store.set("new", ada())).toBe("OK");
    expect((await refusal(store.set("more", ada()))).code).toBe("ERR_TOO_MANY_SESSIONS");
  });

  test("ends no session that lives while another one is dead", async () => {
    const { store } = await full({});
    expect(await store.set("new", ada())).toBe("OK");
    expect(await store.get("s0")).toMatchObject({ user: "ada" });
    expect(await store.length()).toBe(LIMIT);
    await store.set("more", ada());
    expect(await store.get("s0")).toBeNull();
    expect(await store.length()).toBe(LIMIT);
  });

  test("that is lowered by more than a thousand is kept by the next login", async () => {
    const { store, dead } = await full({});
    const youngest = `s${LIMIT - 1}` === dead ? LIMIT - 2 : LIMIT - 1;
    const lower = makeStore(client, { userId, prefix: store.prefix, maxSessionsPerUser: 2 });
    expect(await lower.set("new", ada())).toBe("OK");
    expect((await lower.ids()).sort()).toEqual(["new", `s${youngest}`].sort());
  });
});

describe("large sessions", () => {
  const COUNT = 30;
  const large = "x".repeat(100_000);
  const sizeOf = (reply: unknown): number =>
    typeof reply === "string" ? reply.length : Array.isArray(reply) ? sum(reply.map(sizeOf)) : 0;
  const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0);

  test.each([
    ["sessionsOf", (store: ReturnType<typeof makeStore>) => store.sessionsOf("ada")],
    ["destroyAllOf", (store: ReturnType<typeof makeStore>) => store.destroyAllOf("ada")],
    ["page", (store: ReturnType<typeof makeStore>) => store.page({ limit: 1000 })],
    [
      "sessions",
      async (store: ReturnType<typeof makeStore>) => {
        for await (const { sid } of store.sessions()) expect(sid).toMatch(/^s/);
      },
    ],
  ])("are read in groups of bounded bytes: %s", async (_, use) => {
    const sizes: number[] = [];
    const recording = record(client, (_command, reply) => {
      sizes.push(sizeOf(reply));
      return reply;
    });
    const store = makeStore(recording.client, { userId });
    for (let n = 0; n < COUNT; n++) await store.set(`s${n}`, ada({ large }));
    sizes.length = 0;
    await use(store);
    expect(Math.max(...sizes)).toBeLessThan(700_000);
  });

  test("come through a connection that is too slow for a whole group: it is halved", async () => {
    const groups: number[] = [];
    const { store, other } = pair(
      () =>
        through(client, (command, send) => {
          if (command[0] !== "MGET") return send();
          groups.push(command.length - 1);
          return command.length > 3 ? new Promise(() => {}) : send();
        }),
      { timeout: 100 },
    );
    for (let n = 0; n < 8; n++) await other.set(`s${n}`, ada());
    expect(await store.destroyAllOf("ada")).toBe(8);
    expect(groups.slice(0, 3)).toEqual([8, 4, 2]);
    expect(await other.ids()).toEqual([]);
  });
});

unlessSealed.test("what is removed is compared by its SHA-1, bytes included", async () => {
  const serializer = {
    binary: true as const,
    parse: (bytes: Buffer) => JSON.parse(bytes.subarray(1).toString()) as unknown,
    stringify: (session: object) =>
      Buffer.concat([Buffer.from([255]), Buffer.from(JSON.stringify(session))]),
  };
  const recording = record(client);
  const store = makeStore(recording.client, { userId, serializer });
  await store.set("s", ada({ text: "é✓" }));
  expect(await store.destroyAllOf("ada")).toBe(1);
  const removal = recording.commands.find(isScript(REMOVE_SEEN)) as string[];
  const stored = serializer.stringify(ada({ text: "é✓" }));
  expect(removal.at(-1)).toBe(createHash("sha1").update(stored).digest("hex"));
});

describe("a session that is renewed by who loaded it before its login stays listed for as long as it lives", () => {
  const anonymous = sessionOf({ n: 1 });
  test.each<[string, Options, (store: ReturnType<typeof makeStore>) => Promise<object | null>]>([
    ["overwrite", { conflict: "overwrite" }, (store) => store.get("sid")],
    ["merge", {}, (store) => store.get("sid")],
    ["a row", {}, async (store) => (await store.sessions().next()).value?.session ?? null],
    ["a row of all()", {}, async (store) => (await store.all())[0] ?? null],
    ["by hand", {}, async () => sessionOf({ n: 1 })],
  ])("%s", async (_, options, loadedBefore) => {
    const store = makeStore(client, { prefix: freshPrefix(), userId, touchAfter: 0, ...options });
    await store.set("sid", anonymous);
    const before = (await loadedBefore(store)) as SessionData;
    const login = (await store.get("sid")) as Loaded;
    login.user = "ada";
    expect(await store.set("sid", login)).toBe("OK");
    const soon = await endSoon(store, "sid");
    expect(await store.touch("sid", before)).toBe("OK");
    expect(await endOf(store, "sid")).toBeGreaterThan(soon + 60_000);
  });
});
