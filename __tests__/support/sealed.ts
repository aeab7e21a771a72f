// Has every store of a test file encrypt its sessions: loaded by jest where
// REDIS_SESSION_STORE_TEST_SEALED is set. What a serializer writes then ends with MARK, which is how
// `npm run test:sealed` finds content wherever it comes to light.
import { MARK } from "../../tools/sealed-run.js";

type Encryption = typeof import("../../lib/session/encryption.js");
type Serializers = typeof import("../../lib/session/serializer.js");

/** What the mocks below share with the rest; only names with this prefix may be used in them. */
const mockShared = {
  mark: MARK,
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
