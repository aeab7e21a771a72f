import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { deserialize, serialize } from "node:v8";
import supertest from "supertest";
import type { Serializer, TextSerializer } from "../../lib/index.js";
import {
  type AppSession,
  connect,
  makeApp,
  makeStore,
  rawOf,
  read,
  refusal,
  sessionOf,
  type TestClient,
  versions,
  visit,
} from "../support/store.js";

let client: TestClient;
let raw: ReturnType<typeof rawOf>;
beforeAll(async () => {
  client = await connect();
  raw = rawOf(client);
});

const parse = (text: string) => JSON.parse(text) as unknown;

const key = randomBytes(32);
function encrypt(plain: string): Buffer {
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  return Buffer.concat([iv, cipher.update(plain, "utf8"), cipher.final(), cipher.getAuthTag()]);
}
function decrypt(sealed: Buffer): string {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
  decipher.setAuthTag(sealed.subarray(-16));
  return decipher.update(sealed.subarray(12, -16), undefined, "utf8") + decipher.final("utf8");
}

const later = () => new Promise((resolve) => setTimeout(resolve, 1));

const serializers: [string, Serializer][] = [
  ["JSON", JSON],
  [
    "async text",
    {
      parse: async (text: string) => {
        await later();
        return parse(text);
      },
      stringify: async (session) => {
        // What the app does to the session meanwhile is not part of this save.
        const text = JSON.stringify(session);
        await later();
        return text;
      },
    },
  ],
  [
    "bytes",
    {
      binary: true,
      parse: (bytes: Buffer) => deserialize(bytes) as unknown,
      stringify: (session) => serialize(JSON.parse(JSON.stringify(session))),
    },
  ],
  [
    "a part of a larger buffer",
    {
      binary: true,
      parse: (bytes: Buffer) => parse(bytes.toString()),
      stringify: (session) =>
        new Uint8Array(Buffer.from(`xxx${JSON.stringify(session)}xx`)).subarray(3, -2),
    },
  ],
  [
    "text encrypted with a random IV",
    {
      parse: (text: string) => parse(decrypt(Buffer.from(text, "base64"))),
      stringify: (session) => encrypt(JSON.stringify(session)).toString("base64"),
    },
  ],
  [
    "bytes encrypted with a random IV, async",
    {
      binary: true,
      parse: async (bytes: Buffer) => parse(decrypt(bytes)),
      stringify: async (session) => encrypt(JSON.stringify(session)),
    },
  ],
  [
    "a class of one's own",
    {
      parse: (text: string) => JSON.parse(text.slice(1)) as unknown,
      stringify(session) {
        return this.mark + JSON.stringify(session);
      },
      mark: "§",
    } as TextSerializer & { mark: string },
  ],
];

describe.each(serializers)("a serializer that is %s", (_, serializer) => {
  test.each(versions)("keeps what is stored, with redis %i", async (version) => {
    const store = makeStore(await connect(version), { serializer });
    const data = { text: "ü🦊\0\u0001", list: [1, null, { deep: true }], nothing: null, n: 1.5 };
    await store.set("sid", sessionOf(data));
    expect(await store.get("sid")).toEqual(sessionOf(data));
    expect(await store.all()).toEqual([{ id: "sid", ...sessionOf(data) }]);
    for await (const { session } of store.sessions()) expect(session).toEqual(sessionOf(data));
    const loaded = (await store.get("sid")) as AppSession;
    loaded.more = "more";
    expect(await store.set("sid", loaded)).toBe("OK");
    loaded.more = "yet more";
    expect(await store.set("sid", loaded)).toBe("OK");
    expect(await store.get("sid")).toEqual(sessionOf({ ...data, more: "yet more" }));
    expect(await store.touch("sid", loaded)).toBe("OK");
    expect(await store.clear()).toBe(1);
  });

  test("sees that a save changes nothing", async () => {
    const store = makeStore(client, { serializer });
    await store.set("sid", sessionOf({ a: 1 }));
    const before = await client.sendCommand(["DUMP", `${store.prefix}sid`]);
    const loaded = (await store.get("sid")) as AppSession;
    expect(await store.set("sid", loaded)).toBe("OK");
    expect(await client.sendCommand(["DUMP", `${store.prefix}sid`])).toEqual(before);
  });

  test("keeps the changes of two requests, and a logout", async () => {
    const store = makeStore(client, { serializer });
    await store.set("sid", sessionOf());
    const one = (await store.get("sid")) as AppSession;
    const two = (await store.get("sid")) as AppSession;
    one.a = 1;
    two.b = 2;
    expect(await store.set("sid", one)).toBe("OK");
    expect(await store.set("sid", two)).toBe("MERGED");
    expect(await store.get("sid")).toEqual(sessionOf({ a: 1, b: 2 }));
    await store.destroy("sid");
    two.b = 3;
    expect(await store.set("sid", two)).toBe("GONE");
  });

  test("stores what the session was when the app asked", async () => {
    const store = makeStore(client, { serializer });
    const session = sessionOf({ a: 1 }) as AppSession;
    const saving = store.set("sid", session);
    session.a = 2;
    await saving;
    expect(await store.get("sid")).toEqual(sessionOf({ a: 1 }));
  });

  test.each([{}, { rolling: false }, { conflict: "overwrite" as const }])(
    "serves an app, with %p",
    async (options) => {
      const store = makeStore(client, { serializer, ...options });
      const app = makeApp(
        store,
        { "/visit": visit, "/read": read },
        { cookie: { maxAge: 60_000 } },
      );
      const agent = supertest.agent(app);
      for (let n = 1; n < 4; n++) expect((await agent.get("/visit")).text).toBe(String(n));
      expect((await agent.get("/read")).body).toEqual({ visits: 3 });
      expect(app.errors).toEqual([]);
    },
  );

  test("reports what it cannot read, with the cause", async () => {
    const store = makeStore(client, { serializer });
    const corrupt = jest.fn();
    store.on("corrupt", corrupt);
    await store.set("fine", sessionOf());
    await raw.set(`${store.prefix}corrupt`, "{xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    const error = await refusal(store.get("corrupt"));
    expect(error).toMatchObject({ name: "StoreError", code: "ERR_CORRUPT_SESSION" });
    expect(error.cause).toHaveProperty("message");
    expect((await store.all()).map(({ id }) => id)).toEqual(["fine"]);
    expect(await store.clear()).toBe(2);
    expect(corrupt).toHaveBeenCalledTimes(1);
  });
});

test("values that JSON cannot hold survive a serializer that can", async () => {
  const serializer: Serializer = {
    binary: true,
    parse: (bytes: Buffer) => deserialize(bytes) as unknown,
    stringify: (session) => {
      const { cookie, ...data } = session as AppSession;
      return serialize({ ...data, cookie: JSON.parse(JSON.stringify(cookie)) as unknown });
    },
  };
  const store = makeStore(client, { serializer });
  const data = { when: new Date(5), seen: new Set([1]), map: new Map([["a", 1n]]), re: /x/g };
  await store.set("sid", sessionOf(data));
  const loaded = (await store.get("sid")) as AppSession;
  expect(loaded).toEqual(sessionOf(data));
  expect(await store.set("sid", loaded)).toBe("OK");
  loaded.when = new Date(6);
  expect(await store.set("sid", loaded)).toBe("OK");
  expect(await store.get("sid")).toEqual(sessionOf({ ...data, when: new Date(6) }));
});

test("instances of classes are stored as JSON stores them", async () => {
  class Cart {
    readonly items = ["apple"];
    get count() {
      return this.items.length;
    }
    toJSON() {
      return { items: this.items, count: this.count };
    }
  }
  class Visit {
    page = "/";
  }
  const store = makeStore(client);
  const data = { cart: new Cart(), visit: new Visit(), when: new Date(5), skip: undefined };
  await store.set("sid", sessionOf(data));
  const loaded = (await store.get("sid")) as AppSession;
  const stored = {
    cart: { items: ["apple"], count: 1 },
    visit: { page: "/" },
    when: new Date(5).toISOString(),
  };
  expect(loaded).toEqual(sessionOf(stored));
  Object.assign(loaded, data, { cart: new Cart() });
  expect(await store.set("sid", loaded)).toBe("OK");
  expect(await store.get("sid")).toEqual(sessionOf(stored));
});

const oops = new Error("oops");
const fail = () => {
  throw oops;
};
const stringifies: [string, () => unknown, cause: unknown][] = [
  ["returns undefined", () => undefined, undefined],
  ["returns null", () => null, undefined],
  ["returns a number", () => 7, undefined],
  ["returns the object", () => ({}), undefined],
  ["returns bytes without binary", () => Buffer.from("{}"), undefined],
  ["resolves to undefined", () => Promise.resolve(undefined), undefined],
  ["throws", fail, oops],
  ["rejects", () => Promise.reject(oops), oops],
  [
    "throws nothing",
    () => {
      throw undefined;
    },
    undefined,
  ],
  [
    "throws text",
    () => {
      throw "text";
    },
    // It may be content.
    undefined,
  ],
];

test.each(stringifies)(
  "a stringify that %s stores nothing and loses nothing",
  async (_, stringify, cause) => {
    const first = makeStore(client);
    await first.set("sid", sessionOf({ kept: true }));
    const serializer = { parse, stringify } as unknown as Serializer;
    const store = makeStore(client, { serializer, prefix: first.prefix });
    const loaded = (await store.get("sid")) as AppSession;
    loaded.changed = true;
    for (const [sid, session] of [
      ["new", sessionOf()],
      ["sid", sessionOf()],
      ["sid", loaded],
    ] as const) {
      const error = await refusal(store.set(sid, session));
      expect(error).toMatchObject({ name: "StoreError", code: "ERR_INVALID_SESSION" });
      expect(error.cause).toEqual(cause);
    }
    expect(await first.all()).toEqual([{ id: "sid", ...sessionOf({ kept: true }) }]);
  },
);

test.each([
  ["text with binary", () => "{}"],
  ["an ArrayBuffer", () => new ArrayBuffer(2)],
])("a binary stringify that returns %s is refused", async (_, stringify) => {
  const serializer = { parse, stringify, binary: true } as unknown as Serializer;
  const error = await refusal(makeStore(client, { serializer }).set("sid", sessionOf()));
  expect(error.code).toBe("ERR_INVALID_SESSION");
  expect(error.message).toContain("Uint8Array");
});

const parses: [string, (text: string) => unknown, cause: unknown][] = [
  ["returns undefined", () => undefined, undefined],
  ["returns null", () => null, undefined],
  ["returns text", () => "text", undefined],
  ["returns a list", () => [], undefined],
  ["resolves to null", () => Promise.resolve(null), undefined],
  ["throws", fail, oops],
  ["rejects", () => Promise.reject(oops), oops],
];

test.each(parses)(
  "a parse that %s is a corrupt session, with the cause",
  async (_, wrong, cause) => {
    const first = makeStore(client);
    await first.set("sid", sessionOf());
    const store = makeStore(client, {
      serializer: { parse: wrong, stringify: (session) => JSON.stringify(session) },
      prefix: first.prefix,
    });
    const corrupt = jest.fn();
    store.on("corrupt", corrupt);
    const error = await refusal(store.get("sid"));
    expect(error).toMatchObject({ name: "StoreError", code: "ERR_CORRUPT_SESSION" });
    expect(error.cause).toEqual(cause);
    expect(await store.all()).toEqual([]);
    expect(await first.length()).toBe(1);
    await new Promise(setImmediate);
    expect(corrupt).toHaveBeenCalledTimes(1);
  },
);

test("nothing of an encrypted session is readable in Redis", async () => {
  const [, serializer] = serializers[4] ?? [];
  if (serializer === undefined) throw new Error("no serializer");
  const store = makeStore(client, { serializer, absoluteTtl: 600 });
  await store.set("sid", sessionOf({ secret: "hidden-word" }));
  const loaded = (await store.get("sid")) as AppSession;
  loaded.more = "hidden-too";
  await store.set("sid", loaded);
  const stored = Buffer.from((await raw.get(`${store.prefix}sid`)) ?? "", "base64").toString(
    "latin1",
  );
  expect(stored).not.toContain("hidden");
  expect(stored).not.toContain("cookie");
});

test.each([
  ["text", () => "{}"],
  ["a list", () => [1]],
  ["null", () => null],
])("a session whose toJSON makes %s of it is refused, and nothing is stored", async (_, toJSON) => {
  const store = makeStore(client);
  const refused = store.set("sid", Object.assign(sessionOf({}), { toJSON }));
  await expect(refused).rejects.toMatchObject({ code: "ERR_INVALID_SESSION" });
  expect(await store.length()).toBe(0);
});

describe("a function of the app that never settles", () => {
  const never = new Promise<never>(() => {});

  test("stringify: the save fails, and a logout that waits for it goes on", async () => {
    const stringify = (one: object) =>
      "stuck" in one ? never : Promise.resolve(JSON.stringify(one));
    const store = makeStore(client, {
      timeout: 200,
      serializer: { parse: (text: string) => JSON.parse(text), stringify },
    });
    await store.set("sid", sessionOf({}));
    const stuck = store.set("sid", sessionOf({ stuck: true }));
    const logout = store.destroy("sid");
    await expect(stuck).rejects.toMatchObject({ code: "ERR_INVALID_SESSION" });
    expect(await logout).toBe(1);
  });

  test("parse: the read fails", async () => {
    const serializer = { parse: () => never, stringify: (one: object) => JSON.stringify(one) };
    const store = makeStore(client, { timeout: 200, serializer });
    await store.set("sid", sessionOf({}));
    await expect(store.get("sid")).rejects.toMatchObject({ code: "ERR_CORRUPT_SESSION" });
  });

  test("conflict: the save fails, and nothing is stored", async () => {
    const store = makeStore(client, { timeout: 200, conflict: () => never });
    await store.set("sid", sessionOf({ a: 1 }));
    const [mine, other] = await Promise.all([store.get("sid"), store.get("sid")]);
    await store.set("sid", Object.assign(other as AppSession, { a: 2 }));
    const save = store.set("sid", Object.assign(mine as AppSession, { b: 1 }));
    await expect(save).rejects.toMatchObject({ code: "ERR_INVALID_SESSION" });
    expect(await store.get("sid")).not.toHaveProperty("b");
  });
});
