import { performance } from "node:perf_hooks";
import type { RedisStore, RedisStoreOptions } from "../../lib/index.js";
import { listen } from "../support/channels.js";
import { load } from "../support/requests.js";
import {
  connect,
  freshPrefix,
  makeStore,
  plainOf,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  unlessSealed,
  url,
} from "../support/store.js";
import { withMember } from "../support/through.js";

/** What stands behind a client: a server that knows `SET … IFEQ`, or one that does not. */
type Kind = "compares" | "scripts";

/** `SET key value IFEQ expected PX ms`, with `GET` as the fourth argument or without. */
const IFEQ = `
local current = redis.call('GET', KEYS[1])
if current == ARGV[2] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) end
if ARGV[4] then return current end
return current == ARGV[2] and redis.status_reply('OK')`;

/** A client of which a test decides what its server can do. */
interface Behind {
  readonly client: TestClient;
  /** What the server is from now on. */
  kind: Kind;
  /** All that was sent since it was last asked. */
  sent(): string[][];
  /** Whether it does not know the next script that is named. */
  hasForgotten: boolean;
  /** Comes before each comparison of the server, with the words of the command. */
  before: (command: string[]) => Promise<unknown> | undefined;
}

/** The server that runs may be of either kind; these tests are about both. */
async function behind(kind: Kind): Promise<Behind> {
  const client = await connect();
  let commands: string[][] = [];
  const sendCommand: TestClient["sendCommand"] = async (command, options) => {
    const words = command.map(String);
    commands.push(words);
    if (subject.hasForgotten && words[0] === "EVALSHA") {
      subject.hasForgotten = false;
      throw new Error("NOSCRIPT No matching script.");
    }
    if (!words.includes("IFEQ")) return client.sendCommand(command, options);
    if (subject.kind === "scripts") throw new Error("ERR syntax error");
    await subject.before(words);
    const [, key, value, , expected, , ms, get] = command as string[];
    const args = [value, expected, ms, ...(get === undefined ? [] : [get])] as string[];
    return client.sendCommand(["EVAL", IFEQ, "1", key as string, ...args], options);
  };
  const subject: Behind = {
    kind,
    hasForgotten: false,
    before: () => undefined,
    sent() {
      const sent = commands;
      commands = [];
      return sent;
    },
    client: withMember(client, { sendCommand }),
  };
  return subject;
}

type Options = Omit<Partial<RedisStoreOptions>, "client">;

/** A store behind which is such a server, and a session that a request has loaded. */
async function stored(kind: Kind, options: Options = {}) {
  const subject = await behind(kind);
  const store = makeStore(subject.client, options) as RedisStore;
  await store.set("sid", sessionOf({ n: 0 }));
  const mine = await load(store, "sid");
  subject.sent();
  return { subject, store, mine, key: `${store.prefix}sid` };
}

const names = (commands: string[][]) => commands.map(([name]) => name);

let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  raw = rawOf(await connect());
});

describe("where the server compares by itself", () => {
  test("a save is one command with PX, and no script sees the session", async () => {
    const { subject, store, mine, key } = await stored("compares");
    const before = String(await raw.get(key));
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("OK");
    const after = String(await raw.get(key));
    expect(JSON.parse(after)).toMatchObject({ n: 1 });
    const sent = subject.sent().map((command) => command.map((part) => plainOf(key, part)));
    expect(sent).toEqual([
      ["SET", key, after, "IFEQ", before, "PX", expect.stringMatching(/^\d+$/)],
    ]);
  });

  test("one that meets another writer asks what is there, and merges", async () => {
    const { subject, store, mine, key } = await stored("compares");
    await raw.set(key, JSON.stringify(sessionOf({ n: 0, other: 1 })));
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("MERGED");
    expect(JSON.parse(String(await raw.get(key)))).toMatchObject({ n: 1, other: 1 });
    const sent = subject.sent();
    expect(names(sent)).toEqual(["SET", "SET", "SET"]);
    expect(sent.map((command) => command.includes("GET"))).toEqual([false, true, false]);
  });

  test("what was ended stays ended", async () => {
    const { store, mine, key } = await stored("compares");
    await raw.send("DEL", key);
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("GONE");
    expect(await raw.exists(key)).toBe(false);
  });

  // It puts back what it has read, opened.
  unlessSealed.test(
    "a session that is what it was again by the second question is written",
    async () => {
      const { subject, store, mine, key } = await stored("compares");
      const there = String(await raw.get(key));
      await raw.set(key, "something else");
      subject.before = (command) => (command.includes("GET") ? raw.set(key, there) : undefined);
      mine.n = 1;
      expect(await store.set("sid", mine)).toBe("OK");
      expect(subject.sent()).toHaveLength(2);
      expect(JSON.parse(String(await raw.get(key)))).toMatchObject({ n: 1 });
      expect(await raw.pttl(key)).toBeGreaterThan(0);
    },
  );

  test("a command that the client sent twice counts as written, with its expiry", async () => {
    const { subject, store, mine, key } = await stored("compares", { ttl: 100 });
    let written = "";
    subject.before = async ([, , value = ""]) => {
      written ||= value;
      // The reply to the first was lost with the connection.
      await raw.send("SET", key, written, "PX", "5000");
    };
    mine.n = 1;
    mine.user = { id: 1 };
    expect(await store.set("sid", mine)).toBe("OK");
    expect(JSON.parse(String(await raw.get(key)))).toMatchObject({ n: 1, user: { id: 1 } });
    expect(await raw.pttl(key)).toBeGreaterThan(90_000);
  });

  test("bytes are compared as they are", async () => {
    const serializer = {
      binary: true,
      stringify: (session: object) =>
        Buffer.concat([Buffer.from([0xff, 0x00, 0xfe]), Buffer.from(JSON.stringify(session))]),
      parse: (bytes: Buffer) => JSON.parse(bytes.subarray(3).toString()) as unknown,
    } as const;
    const { subject, store, mine } = await stored("compares", { serializer });
    // What goes through `EVAL` in this test goes as bytes too.
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("OK");
    mine.n = 2;
    expect(await store.set("sid", mine)).toBe("OK");
    expect(names(subject.sent())).toEqual(["SET", "SET"]);
    expect(await load(store, "sid")).toMatchObject({ n: 2 });
  });

  test("a session without an expiry is saved by a script: Valkey would hand the condition on", async () => {
    const { subject, store, mine, key } = await stored("compares", { disableTTL: true });
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("OK");
    expect(subject.sent().some((command) => command.includes("IFEQ"))).toBe(false);
    expect(await raw.pttl(key)).toBe(-1);
  });

  test.each([
    ["ERR unknown command", "ERR_REDIS"],
    ["ERR value is not an integer or out of range", "ERR_REDIS"],
    ["READONLY You can't write against a read only replica.", "ERR_READONLY"],
    ["NOPERM this user has no permissions", "ERR_NO_PERMISSION"],
    ["OOM command not allowed when used memory > 'maxmemory'.", "ERR_OUT_OF_MEMORY"],
    ["Socket closed unexpectedly", "ERR_UNAVAILABLE"],
  ])("%s is no reason to send anything again", async (message, code) => {
    const { subject, store, mine } = await stored("compares");
    subject.before = () => Promise.reject(new Error(message));
    mine.n = 1;
    expect(await refusal(store.set("sid", mine))).toMatchObject({ code });
    expect(names(subject.sent())).toEqual(["SET"]);
  });
});

describe("where the server has scripts only", () => {
  test("it is asked once by all stores of a client, and by no save but the first", async () => {
    const { subject, store, mine, key } = await stored("scripts");
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("OK");
    const [first, ...others] = subject.sent();
    expect(first).toContain("IFEQ");
    for (const [name] of others) expect(name).toMatch(/^EVAL/);
    for (const again of [store, makeStore(subject.client, { prefix: store.prefix })]) {
      const session = await load(again as RedisStore, "sid");
      subject.sent();
      session.n = Number(session.n) + 1;
      expect(await again.set("sid", session)).toBe("OK");
      expect(names(subject.sent())).toEqual(["EVALSHA"]);
    }
    expect(JSON.parse(String(await raw.get(key)))).toMatchObject({ n: 3 });
  });

  test("it is asked again after the connection has switched, at most once a minute", async () => {
    const { subject, store, mine } = await stored("scripts");
    const start = performance.now();
    let now = start;
    jest.spyOn(performance, "now").mockImplementation(() => now);
    const save = async () => {
      mine.n = Number(mine.n) + 1;
      expect(await store.set("sid", mine)).toBe("OK");
      return subject.sent().some((command) => command.includes("IFEQ"));
    };
    const reconnect = () => (subject.client as unknown as NodeJS.EventEmitter).emit("ready");
    try {
      expect(await save()).toBe(true);
      // However long the same connection lasts.
      now += 3_600_000;
      expect(await save()).toBe(false);
      reconnect();
      expect(await save()).toBe(true);
      reconnect();
      now += 59_999;
      expect(await save()).toBe(false);
      now += 1;
      expect([await save(), await save()]).toEqual([true, false]);
    } finally {
      jest.restoreAllMocks();
    }
  });

  test("saves that come together do not all ask again", async () => {
    const { subject, store } = await stored("scripts");
    const sids = Array.from({ length: 20 }, (_, index) => `s${index}`);
    await Promise.all(sids.map((sid) => store.set(sid, sessionOf())));
    const sessions = await Promise.all(sids.map((sid) => load(store, sid)));
    const saveAll = () =>
      Promise.all(
        sessions.map((session, index) =>
          store.set(sids[index] as string, Object.assign(session, { n: Math.random() })),
        ),
      );
    await saveAll();
    const start = performance.now();
    jest.spyOn(performance, "now").mockImplementation(() => start + 60_000);
    try {
      (subject.client as unknown as NodeJS.EventEmitter).emit("ready");
      subject.sent();
      await saveAll();
      expect(subject.sent().filter((command) => command.includes("IFEQ"))).toHaveLength(1);
    } finally {
      jest.restoreAllMocks();
    }
  });

  test("one listener on the client serves all stores", async () => {
    const subject = await behind("scripts");
    const emitter = subject.client as unknown as NodeJS.EventEmitter;
    const before = emitter.listenerCount("ready");
    for (let made = 0; made < 12; made++) {
      const store = makeStore(subject.client) as RedisStore;
      await store.set("sid", sessionOf());
      const mine = await load(store, "sid");
      await store.set("sid", Object.assign(mine, { n: 1 }));
    }
    expect(emitter.listenerCount("ready") - before).toBeLessThanOrEqual(1);
  });
});

test.each<Kind>(["compares", "scripts"])(
  "the channels tell of as many round trips as commands were waited for: %s",
  async (kind) => {
    const { subject, store, mine, key } = await stored(kind);
    const channels = listen();
    try {
      const waited = async (work: Promise<unknown>) => {
        await work;
        expect(channels.last.roundTrips).toBe(subject.sent().length);
        return channels.last.roundTrips;
      };
      await raw.set(key, JSON.stringify(sessionOf({ n: 0, other: 1 })));
      mine.n = 1;
      expect(await waited(store.set("sid", mine))).toBeGreaterThan(1);
      expect(channels.last).toMatchObject({ outcome: "MERGED", conflicts: 1 });
      mine.n = 2;
      expect(await waited(store.set("sid", mine))).toBe(1);
      await raw.send("DEL", key);
      mine.n = 3;
      await waited(store.set("sid", mine));
      expect(channels.last.outcome).toBe("GONE");
    } finally {
      channels.stop();
    }
  },
);

test("a script that the server has forgotten takes one more", async () => {
  const { subject, store, mine } = await stored("scripts");
  await store.set("sid", Object.assign(mine, { n: 1 }));
  subject.sent();
  subject.hasForgotten = true;
  const channels = listen();
  await store.set("sid", Object.assign(mine, { n: 2 }));
  channels.stop();
  expect(subject.sent().map(([name]) => name)).toEqual(["EVALSHA", "EVAL"]);
  expect(channels.last.roundTrips).toBe(2);
});

describe("a failover to a server of another kind", () => {
  test("that has scripts only is noticed by the save that meets it", async () => {
    const { subject, store, mine, key } = await stored("compares");
    for (const kind of ["compares", "scripts", "scripts"] as const) {
      subject.kind = kind;
      mine.n = Number(mine.n) + 1;
      expect(await store.set("sid", mine)).toBe("OK");
      expect(JSON.parse(String(await raw.get(key)))).toMatchObject({ n: mine.n });
    }
    expect(names(subject.sent())).toEqual([
      "SET",
      "SET",
      expect.stringMatching(/^EVAL/),
      ...Array.from({ length: 1 }, () => "EVALSHA"),
    ]);
  });

  test("between the two questions of a save loses nothing", async () => {
    const { subject, store, mine, key } = await stored("compares");
    await raw.set(key, JSON.stringify(sessionOf({ n: 0, other: 1 })));
    subject.before = (command) => {
      if (!command.includes("GET")) return undefined;
      subject.kind = "scripts";
      return Promise.reject(new Error("ERR syntax error"));
    };
    mine.n = 1;
    expect(await store.set("sid", mine)).toBe("MERGED");
    expect(JSON.parse(String(await raw.get(key)))).toMatchObject({ n: 1, other: 1 });
  });

  test("that compares is noticed after the switch", async () => {
    const { subject, store, mine, key } = await stored("scripts");
    mine.n = 1;
    await store.set("sid", mine);
    const start = performance.now();
    jest.spyOn(performance, "now").mockImplementation(() => start + 60_000);
    try {
      subject.kind = "compares";
      (subject.client as unknown as NodeJS.EventEmitter).emit("ready");
      subject.sent();
      for (const n of [2, 3]) {
        mine.n = n;
        expect(await store.set("sid", mine)).toBe("OK");
      }
      expect(names(subject.sent())).toEqual(["SET", "SET"]);
      expect(JSON.parse(String(await raw.get(key)))).toMatchObject({ n: 3 });
    } finally {
      jest.restoreAllMocks();
    }
  });
});

test("a Redis user without set is told so, and nothing is sent again", async () => {
  const user = `app-${freshPrefix().slice(5, 12)}`;
  await raw.send("ACL", "SETUSER", user, "on", ">pw", "~*", "&*", "+@all");
  try {
    const client = await connect(6, url.replace("//", `//${user}:pw@`));
    const store = makeStore(client) as RedisStore;
    await store.set("sid", sessionOf({ n: 0 }));
    const mine = await load(store, "sid");
    await raw.send("ACL", "SETUSER", user, "-set");
    mine.n = 1;
    expect(await refusal(store.set("sid", mine))).toMatchObject({ code: "ERR_NO_PERMISSION" });
    expect(JSON.parse(String(await raw.get(`${store.prefix}sid`)))).toMatchObject({ n: 0 });
  } finally {
    await raw.send("ACL", "DELUSER", user);
  }
});
