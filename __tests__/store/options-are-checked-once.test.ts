import { RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { record } from "../support/recording.js";
import { connect, newClient, sessionOf, type TestClient } from "../support/store.js";

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

/** What of a client of redis 2 and 3 tells that it is one. */
class Redis2Like {
  send_command() {}
}

afterEach(() => {
  jest.restoreAllMocks();
});

/** Options as JavaScript passes them: anything may stand there. */
const make = (options: object) => new RedisStore({ client, ...options } as RedisStoreOptions);

function refused(build: () => unknown): { code: string; message: string } {
  try {
    build();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error("was accepted");
}

const anyFunction = () => 60;
const serializer = { parse: JSON.parse, stringify: JSON.stringify };

const accepted: [name: string, values: unknown[]][] = [
  ["prefix", ["", "s:", "app[1]:", "ü", undefined, null]],
  ["ttl", [1, 0.5, 31_556_952_000, anyFunction, undefined, null]],
  ["rolling", [true, false, undefined, null]],
  ["touchAfter", [0, 0.5, 60, 31_556_952_000, undefined, null]],
  ["absoluteTtl", [1, 0.5, 31_556_952_000, undefined, null]],
  ["conflict", ["merge", "overwrite", (_: object, current: object) => current, undefined, null]],
  ["serializer", [JSON, serializer, { ...serializer, binary: true }, undefined, null]],
  [
    "serializer",
    [
      { ...serializer, binary: false },
      { ...serializer, binary: undefined },
    ],
  ],
  ["disableTTL", [true, false, undefined, null]],
  ["disableTouch", [true, false, undefined, null]],
  ["scanCount", [1, 100, 1_000_000, undefined, null]],
  ["timeout", [1, 2000, 2_147_483_647, undefined, null]],
  ["cache", [false, { max: 1 }, { max: 10_000 }, undefined, null]],
  ["userId", [() => "ann", undefined, null]],
  ["whenDown", ["error", "bypass", undefined, null]],
  ["endings", [false, { keepFor: 86_400 }, { keepFor: 0.5 }, undefined, null]],
  ["name", ["orders", "", undefined, null]],
];

test.each(accepted)("%s takes what it should", (name, values) => {
  // Of the longest lives.
  jest.spyOn(process, "emitWarning").mockImplementation();
  for (const value of values) {
    const store = make({ [name]: value });
    if (value != null && name in store) expect(Reflect.get(store, name)).toBe(value);
  }
});

test("the limits of a user take what they should", () => {
  for (const maxSessionsPerUser of [1, 5, 1_000_000]) {
    for (const onLimit of ["evict-oldest", "reject", undefined, null]) {
      make({ userId, maxSessionsPerUser, onLimit });
    }
  }
  make({ userId, maxSessionsPerUser: null });
  for (const requireNewId of [true, false, undefined, null]) make({ userId, requireNewId });
});

test("null and undefined mean the default", () => {
  for (const none of [null, undefined]) {
    const store = make({
      prefix: none,
      ttl: none,
      scanCount: none,
      serializer: none,
      disableTTL: none,
      disableTouch: none,
    });
    expect(store).toMatchObject({
      prefix: "sess:",
      ttl: 86_400,
      scanCount: 100,
      serializer: JSON,
      disableTTL: false,
      disableTouch: false,
    });
  }
});

const noNumbers: [value: unknown, shown: string][] = [
  ["60", '"60"'],
  [true, "true"],
  [{}, "an object"],
  [[], "an array"],
  [Number.NaN, "NaN"],
  [Number.POSITIVE_INFINITY, "Infinity"],
  [-1, "-1"],
];
const noFlags: [value: unknown, shown: string][] = [
  ["true", '"true"'],
  [1, "1"],
  [0, "0"],
  ["", '""'],
  [{}, "an object"],
];
const userId = () => "ann";
const users = { userId, maxSessionsPerUser: 5 };

const rejected: [name: string, wanted: RegExp, values: [value: unknown, shown: string][]][] = [
  [
    "prefix",
    /a string/,
    [
      [7, "7"],
      [{}, "an object"],
      [false, "false"],
      [["a"], "an array"],
    ],
  ],
  ["ttl", /above 0.*function/, [...noNumbers, [0, "0"], [31_556_952_001, "31556952001"]]],
  ["touchAfter", /\b0\b/, [...noNumbers, [anyFunction, "a function"]]],
  ["absoluteTtl", /above 0/, [...noNumbers, [0, "0"], [anyFunction, "a function"]]],
  ["rolling", /true or false/, noFlags],
  ["disableTTL", /true or false/, noFlags],
  ["requireNewId", /true or false/, noFlags],
  ["disableTouch", /true or false/, noFlags],
  ["scanCount", /from 1 to 1000000/, [...noNumbers, [0, "0"], [1.5, "1.5"], [1e9, "1000000000"]]],
  [
    "timeout",
    /from 1 to 2147483647/,
    [...noNumbers, [0, "0"], [0.5, "0.5"], [1e10, "10000000000"]],
  ],
  [
    "cache",
    /max/,
    [
      [true, "true"],
      [10_000, "10000"],
      ["on", '"on"'],
    ],
  ],
  [
    "conflict",
    /"merge".*"overwrite".*function/,
    [
      ["last", '"last"'],
      [true, "true"],
      [{}, "an object"],
    ],
  ],
  [
    "serializer",
    /parse.*stringify/,
    [
      ["json", '"json"'],
      [7, "7"],
      [{}, "an object"],
      [{ parse: JSON.parse }, "an object"],
    ],
  ],
  [
    "whenDown",
    /"error".*"bypass"/,
    [
      ["ignore", '"ignore"'],
      [true, "true"],
      [false, "false"],
    ],
  ],
  [
    "endings",
    /false.*keepFor/,
    [
      [true, "true"],
      [86_400, "86400"],
    ],
  ],
  [
    "name",
    /a string/,
    [
      [7, "7"],
      [{}, "an object"],
    ],
  ],
  ["maxSessionsPerUser", /from 1 to 1000000/, [...noNumbers, [0, "0"], [1.5, "1.5"]]],
  [
    "onLimit",
    /"evict-oldest".*"reject"/,
    [
      ["refuse", '"refuse"'],
      [true, "true"],
      [anyFunction, "a function"],
    ],
  ],
  [
    "userId",
    /function/,
    [
      ["user.id", '"user.id"'],
      [7, "7"],
      [{}, "an object"],
    ],
  ],
];

describe.each(rejected)("%s", (name, wanted, values) => {
  test.each(values)(
    `%p is refused, with the option's name, what it takes and what it got`,
    (value, shown) => {
      const { code, message } = refused(() => make({ ...users, [name]: value }));
      expect(code).toBe("ERR_INVALID_OPTION");
      expect(message).toContain(`"${name}"`);
      expect(message).toMatch(wanted);
      expect(message).toContain(`got ${shown}`);
    },
  );
});

test("endings.keepFor is a number of seconds", () => {
  for (const keepFor of [0, -1, Number.NaN, "60", undefined]) {
    const { code, message } = refused(() => make({ endings: { keepFor } }));
    expect(code).toBe("ERR_INVALID_OPTION");
    expect(message).toMatch(/endings\.keepFor.*seconds/);
  }
});

test("serializer.binary is true or false", () => {
  const { code, message } = refused(() => make({ serializer: { ...serializer, binary: "yes" } }));
  expect(code).toBe("ERR_INVALID_OPTION");
  expect(message).toMatch(/serializer\.binary.*true or false.*got "yes"/);
});

test.each([
  [undefined, "nothing was passed"],
  [null, "null"],
  ["redis://localhost", "string"],
  [7, "number"],
  [{}, "none that the store knows"],
  [() => {}, "function"],
  [Promise.resolve({}), "promise"],
])("a client that is %p is refused", (value, shown) => {
  const { code, message } = refused(
    () => new RedisStore({ client: value } as unknown as RedisStoreOptions),
  );
  expect(code).toBe("ERR_INVALID_OPTION");
  expect(message).toContain('"client"');
  expect(message).toContain(shown);
});

test.each([undefined, null, "redis://", 7])("options that are %p are refused", (options) => {
  const { code, message } = refused(() => new RedisStore(options as unknown as RedisStoreOptions));
  expect(code).toBe("ERR_INVALID_OPTION");
  expect(message).toContain("options");
});

test.each(["TTL", "expires", "logErrors", "url", "host", "maxAge", "__proto__x"])(
  "an unknown option is refused and the known ones are named: %s",
  (name) => {
    const { code, message } = refused(() => make({ [name]: 1 }));
    expect(code).toBe("ERR_INVALID_OPTION");
    expect(message).toContain(`"${name}"`);
    expect(message).toContain("disableTouch");
  },
);

test.each([
  ["TTL", "ttl"],
  ["tll", "ttl"],
  ["disableTtl", "disableTTL"],
  ["touchafter", "touchAfter"],
  ["absoluteTTL", "absoluteTtl"],
  ["seralizer", "serializer"],
  ["conflicts", "conflict"],
  ["maxSessionPerUser", "maxSessionsPerUser"],
  ["clinet", "client"],
])("%s: did you mean %s?", (wrong, meant) => {
  const { message } = refused(() => make({ [wrong]: undefined }));
  expect(message).toContain(`"${wrong}" (did you mean "${meant}"?)`);
});

test("where no name is near none is guessed", () => {
  for (const name of ["maxAge", "expires", "x", "y".repeat(5000)]) {
    const { message } = refused(() => make({ [name]: 1 }));
    expect(message).not.toContain("did you mean");
    expect(message.length).toBeLessThan(500);
  }
});

test.each(["url", "host", "port", "socket", "pass", "db", "unref", "logErrors"])(
  "an option of old versions names the entry that takes it: %s",
  (name) => {
    const { code, message } = refused(() => new RedisStore({ [name]: "x" } as never));
    expect(code).toBe("ERR_INVALID_OPTION");
    expect(message).toMatch(new RegExp(`"${name}" \\(.*redis-session-store/legacy`));
    expect(message).toContain('"client" must be');
  },
);

test("everything that is wrong is reported at once", () => {
  const { code, message } = refused(
    () =>
      new RedisStore({
        ttl: "60",
        rolling: 1,
        touchafter: 5,
        timeout: 0,
        onLimit: "reject",
      } as unknown as RedisStoreOptions),
  );
  expect(code).toBe("ERR_INVALID_OPTION");
  const lines = message.split("\n").slice(1);
  expect(new Set(lines.map((line) => /"(\w+)"/.exec(line)?.[1]))).toEqual(
    new Set(["client", "onLimit", "rolling", "timeout", "touchafter", "ttl"]),
  );
  for (const line of lines) expect(line).toMatch(/^- /);
});

test("a client where the options belong is told as that", () => {
  const others = [newClient(4).client, newClient(5).client, new Redis2Like(), { createPort() {} }];
  for (const passed of [client, ...others]) {
    const { code, message } = refused(() => new RedisStore(passed as never));
    expect(code).toBe("ERR_INVALID_OPTION");
    expect(message).toContain("got the client itself: new RedisStore({ client })");
  }
});

describe("a life beyond 400 days", () => {
  /** What the process is warned of while `construct` runs. */
  function warningsOf(construct: () => unknown): string[] {
    const warn = jest.spyOn(process, "emitWarning").mockImplementation();
    construct();
    return warn.mock.calls.map(([message]) => String(message));
  }

  const days30 = 30 * 24 * 3600 * 1000;
  test.each([
    ["ttl", { ttl: days30 }],
    ["absoluteTtl", { absoluteTtl: days30 }],
  ])("gives a warning that it is seconds, and is accepted: %s", (name, options) => {
    const warnings = warningsOf(() => make(options));
    expect(warnings).toEqual([expect.stringMatching(`${name}.* 30000 days.*in seconds`)]);
  });

  test("gives one warning for both", () => {
    const warnings = warningsOf(() => make({ ttl: days30, absoluteTtl: days30 }));
    expect(warnings).toEqual([expect.stringMatching(/ttl: .*absoluteTtl: /)]);
  });

  test("of 400 days and less nobody is warned, nor of what is refused", () => {
    const most = 400 * 24 * 3600;
    const warnings = warningsOf(() => {
      make({ ttl: most, absoluteTtl: most });
      make({ ttl: () => days30 });
      refused(() => make({ ttl: days30, rolling: 1 }));
    });
    expect(warnings).toEqual([]);
  });
});

test("disableTTL excludes what is counted from an expiry", () => {
  for (const other of [
    { rolling: false },
    { absoluteTtl: 60 },
    { rolling: false, absoluteTtl: 60 },
  ]) {
    const { code, message } = refused(() => make({ disableTTL: true, ...other }));
    expect(code).toBe("ERR_INVALID_OPTION");
    expect(message).toContain("disableTTL");
    expect(message).toMatch(/rolling|absoluteTtl/);
  }
  expect(make({ disableTTL: true, rolling: true }).disableTTL).toBe(true);
});

test.each([
  ["maxSessionsPerUser without userId", { maxSessionsPerUser: 5 }, /maxSessionsPerUser.*userId/],
  ["onLimit without a limit", { userId, onLimit: "reject" }, /onLimit.*maxSessionsPerUser/],
  ["requireNewId without userId", { requireNewId: true }, /requireNewId.*userId/],
  ["userId with an empty prefix", { userId, prefix: "" }, /userId.*prefix/],
])("%s is refused", (_, options, wanted) => {
  const { code, message } = refused(() => make(options));
  expect(code).toBe("ERR_INVALID_OPTION");
  expect(message).toMatch(wanted);
});

test("nothing is sent to Redis at construction", async () => {
  const { client: recorded, commands } = record(client);
  make({ client: recorded, absoluteTtl: 60, rolling: false });
  make({ client: recorded, serializer: { ...serializer, binary: true } });
  await client.sendCommand(["PING"]);
  expect(commands).toEqual([]);
  const unconnected = newClient(6).client;
  make({ client: unconnected });
  expect(unconnected.isOpen).toBe(false);
});

test("a store reserves no memory for what it will remember", () => {
  const used = () => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  make({ client });
  const before = used();
  const stores = Array.from({ length: 200 }, () => make({ client }));
  // Places for 50,000 renewals are 400 kB at the least.
  expect((used() - before) / stores.length).toBeLessThan(200_000);
});

test("changing the options object later changes nothing", async () => {
  const options = { client, prefix: "test:options:" };
  const store = new RedisStore(options);
  options.prefix = "other:";
  await store.set("sid", sessionOf());
  expect(await client.sendCommand(["DEL", "test:options:sid"])).toBe(1);
});

test("a long value is not repeated whole in a message", () => {
  const { message } = refused(() => make({ conflict: "x".repeat(5000) }));
  expect(message.length).toBeLessThan(300);
  expect(message).toContain("xxx");
});
