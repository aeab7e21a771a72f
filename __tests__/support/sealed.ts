// Has every store of a test file encrypt its sessions: loaded by jest where
// REDIS_SESSION_STORE_TEST_SEALED is set. What a serializer writes then ends with MARK, which is how
// `npm run test:sealed` finds content wherever it comes to light: every server that a test starts is
// searched as well.
import { appendFileSync } from "node:fs";
import { ARGS, beginSearch, MARK } from "../../tools/sealed-run.js";

type Servers = typeof import("../../tools/redis-server.js");
type Encryption = typeof import("../../lib/session/encryption.js");
type Serializers = typeof import("../../lib/session/serializer.js");

/** Searches that have not ended. */
const searches = new Set<{ end(): Promise<void> }>();
/** Where content came to light. */
const found: string[] = [];

/** Has a server searched from now on; what is called before it stops. */
async function searchedUntilEnd(server: { url: string; port: number }, password?: string) {
  const search = await beginSearch(server, password);
  const one = {
    async end() {
      if (!searches.delete(one)) return;
      // One that is gone, or stands still, or refuses, gives no dump.
      await search.dump().catch(() => {});
      await search.end();
      found.push(...search.found);
      const file = process.env.REDIS_SESSION_STORE_TEST_SEARCHED as string;
      appendFileSync(file, `${JSON.stringify(search.seen)}\n`);
    },
  };
  searches.add(one);
  return one;
}

// It comes before those of the tests, which stop their servers.
afterAll(async () => {
  await Promise.all(Array.from(searches, (search) => search.end()));
  expect(found).toEqual([]);
});

/** What the mocks below share with the rest; only names with this prefix may be used in them. */
const mockShared = {
  mark: MARK,
  args: ARGS,
  searchedUntilEnd,
  /** The rings of the stores of a test file, by their prefix. */
  rings: new Map<string, ReturnType<Encryption["keyringOf"]>>(),
  unmarked(value: string | Buffer): string | Buffer {
    if (typeof value === "string")
      return value.endsWith(MARK) ? value.slice(0, -MARK.length) : value;
    const end = value.length - MARK.length;
    return value.toString("latin1", Math.max(0, end)) === MARK ? value.subarray(0, end) : value;
  },
};

Object.assign(globalThis, {
  /** @see plainOf */
  openSealed(key: string, held: string | Buffer) {
    if (!held.toString("latin1").startsWith("rss1.suite.")) return held;
    for (const [prefix, ring] of mockShared.rings) {
      if (!key.startsWith(prefix)) continue;
      try {
        return mockShared.unmarked(ring.open(held, key.slice(prefix.length)));
      } catch {
        // It is another store's, of a prefix that begins like this one.
      }
    }
    return held;
  },
});

jest.mock("../../tools/redis-server.js", () => {
  const actual: Servers = jest.requireActual("../../tools/redis-server.js");
  const startRedis: Servers["startRedis"] = async (options = {}) => {
    const { args = [] } = options;
    // It holds no sessions.
    if (args.includes("--sentinel")) return actual.startRedis(options);
    const server = await actual.startRedis({ ...options, args: [...args, ...mockShared.args] });
    const password = args[args.indexOf("--requirepass") + 1];
    const search = await mockShared.searchedUntilEnd(
      server,
      args.includes("--requirepass") ? password : undefined,
    );
    return {
      ...server,
      async stop() {
        await search.end();
        await server.stop();
      },
    };
  };
  return { ...actual, startRedis };
});

jest.mock("../../lib/session/encryption.js", () => {
  const actual: Encryption = jest.requireActual("../../lib/session/encryption.js");
  const suite = {
    keys: { suite: Buffer.alloc(32, "key of the suite") },
    write: "suite",
    // Tests put sessions there by hand, as other programs do, and set clocks: the last date there is.
    plaintextUntil: new Date(8.64e15),
  };
  const keyringOf: Encryption["keyringOf"] = (option, prefix) => {
    const ring = actual.keyringOf(option ?? suite, prefix);
    mockShared.rings.set(prefix, ring);
    return ring;
  };
  return { ...actual, keyringOf };
});

jest.mock("../../lib/session/serializer.js", () => {
  const actual: Serializers = jest.requireActual("../../lib/session/serializer.js");
  const encode: Serializers["encode"] = async (...args) => {
    const value = await actual.encode(...args);
    if (typeof value === "string") return value + mockShared.mark;
    return Buffer.concat([value, Buffer.from(mockShared.mark)]);
  };
  const decode: Serializers["decode"] = (serializer, value, sid) =>
    actual.decode(serializer, mockShared.unmarked(value), sid);
  return { ...actual, encode, decode };
});
