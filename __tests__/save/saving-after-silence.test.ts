import { RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { MemoryClient } from "../support/memory-client.js";
import { generated } from "../support/requests.js";
import { sessionOf, until } from "../support/store.js";

const connectionLost = () => {
  throw new Error("Socket closed unexpectedly");
};

function setUp(options: Partial<RedisStoreOptions> = {}) {
  const client = new MemoryClient();
  const store = new RedisStore({ prefix: "s:", ...options, client });
  return { client, store, exists: () => client.server.keys().has("s:sid") };
}

test("a new session whose first save was lost on its way is there after the next save", async () => {
  const { client, store } = setUp();
  const session = generated("sid", { a: 1 });
  client.troubles.set("SET", connectionLost);
  await expect(store.set("sid", session)).rejects.toMatchObject({ code: "ERR_UNAVAILABLE" });
  client.troubles.clear();
  expect(await store.set("sid", session)).toBe("OK");
  expect(await store.get("sid")).toMatchObject({ a: 1 });
});

test("a first save that was lost is not taken for another's under the same id because their cookies are the same", async () => {
  const { client, store } = setUp();
  const session = generated("sid", { a: 1 });
  client.troubles.set("SET", connectionLost);
  await expect(store.set("sid", session)).rejects.toMatchObject({ code: "ERR_UNAVAILABLE" });
  client.troubles.clear();
  expect(await store.set("sid", generated("sid", { a: 2, b: 1 }))).toBe("OK");
  expect(await store.set("sid", session)).toBe("MERGED");
  expect(await store.get("sid")).toMatchObject({ a: 1, b: 1 });
});

test("a save that was lost is not taken for done because of what the one before it had stored", async () => {
  const { client, store } = setUp();
  await store.set("sid", sessionOf());
  const session = (await store.get("sid")) as object as Record<string, unknown>;
  const fails = () =>
    expect(store.set("sid", session as never)).rejects.toMatchObject({ code: "ERR_UNAVAILABLE" });
  client.troubles.set("SET", (send) => {
    send();
    return connectionLost();
  });
  session.a = 1;
  await fails();
  client.troubles.set("SET", connectionLost);
  session.b = 1;
  await fails();
  client.troubles.clear();
  const other = Object.assign((await store.get("sid")) as object, { b: 2, c: 2 });
  expect(await store.set("sid", other as never)).toBe("OK");
  expect(await store.set("sid", session as never)).toBe("MERGED");
  expect(await store.get("sid")).toMatchObject({ a: 1, b: 1, c: 2 });
});

test("a touch after a plain object whose save got no answer renews the session, which may have lost its renewal", async () => {
  const { client, store } = setUp({ ttl: 600, touchAfter: 60 });
  const left = async () => Number(await client.sendCommand(["PTTL", "s:sid"]));
  await store.set("sid", sessionOf());
  const session = (await store.get("sid")) as ReturnType<typeof sessionOf>;
  await store.touch("sid", session);
  expect(await left()).toBeGreaterThan(600_000);
  client.troubles.set("SET", (send) => {
    send();
    return connectionLost();
  });
  await expect(store.set("sid", sessionOf())).rejects.toMatchObject({ code: "ERR_UNAVAILABLE" });
  client.troubles.clear();
  expect(await left()).toBeLessThanOrEqual(600_000);
  await store.touch("sid", session);
  expect(await left()).toBeGreaterThan(600_000);
});

test("a logout that got no answer is repeated, however long Redis is down", async () => {
  const { client, store, exists } = setUp({ timeout: 40 });
  await store.set("sid", sessionOf());
  let recover = () => {};
  const recovered = new Promise<void>((resolve) => {
    recover = resolve;
  });
  client.troubles.set("*", () => recovered.then(connectionLost));
  client.troubles.set("PING", (send) => recovered.then(send));
  await expect(store.destroy("sid")).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  await until(async () => (await store.get("sid").catch(({ code }) => code)) === "ERR_UNAVAILABLE");
  // Long enough that the store has wanted to repeat it.
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(exists()).toBe(true);
  client.troubles.clear();
  recover();
  await until(() => !exists());
});

test("a logout that waited behind a save without an answer is made good too", async () => {
  const { client, store, exists } = setUp({ timeout: 40 });
  await store.set("sid", sessionOf());
  const session = Object.assign((await store.get("sid")) as object, { a: 1 });
  const held: (() => void)[] = [];
  client.troubles.set(
    "SET",
    () =>
      new Promise((_, reject) => held.push(() => reject(new Error("Socket closed unexpectedly")))),
  );
  const saved = store.set("sid", session as never);
  const removed = store.destroy("sid");
  await expect(saved).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  await expect(removed).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  client.troubles.clear();
  for (const lose of held) lose();
  await until(() => !exists());
});

test("a change that was taken back stays so, when the save without an answer comes at last", async () => {
  const { client, store } = setUp();
  await store.set("sid", sessionOf({ a: 1 }));
  const session = (await store.get("sid")) as object as Record<string, unknown>;
  const late: (() => unknown)[] = [];
  client.troubles.set("SET", (send) => {
    late.push(send);
    return connectionLost();
  });
  session.a = 2;
  await expect(store.set("sid", session as never)).rejects.toMatchObject({
    code: "ERR_UNAVAILABLE",
  });
  client.troubles.clear();
  session.a = 1;
  expect(await store.set("sid", session as never)).toBe("OK");
  for (const send of late) send();
  expect(await store.get("sid")).toMatchObject({ a: 1 });
});

test("so does one that was to be merged with what another request had stored", async () => {
  const { client, store } = setUp();
  await store.set("sid", sessionOf());
  const session = (await store.get("sid")) as object as Record<string, unknown>;
  const other = Object.assign((await store.get("sid")) as object, { b: 1 });
  expect(await store.set("sid", other as never)).toBe("OK");
  const late: (() => unknown)[] = [];
  let asked = 0;
  client.troubles.set("SET", (send) => {
    // The first two tell what another request has stored; the third is the merged session.
    if (++asked < 3) return send();
    late.push(send);
    return connectionLost();
  });
  session.a = 2;
  await expect(store.set("sid", session as never)).rejects.toMatchObject({
    code: "ERR_UNAVAILABLE",
  });
  client.troubles.clear();
  delete session.a;
  await store.set("sid", session as never);
  expect(late.length).toBe(1);
  for (const send of late) send();
  expect(await store.get("sid")).not.toHaveProperty("a");
});

test("a login that the client sends twice is written, and not taken for somebody else's", async () => {
  const { client, store } = setUp({ userId: (session) => (session as { user?: string }).user });
  await store.set("sid", sessionOf());
  const session = Object.assign((await store.get("sid")) as object, { user: "ada" });
  client.troubles.set("SET", (send) => {
    send();
    return send();
  });
  expect(await store.set("sid", session as never)).toBe("OK");
  expect(await store.get("sid")).toMatchObject({ user: "ada" });
  expect((await store.sessionsOf("ada")).map(({ sid }) => sid)).toEqual(["sid"]);
});

test("a save that had to wait takes nothing of its life from the session", async () => {
  const { client, store } = setUp({
    ttl: 100,
    touchAfter: 0,
    serializer: {
      parse: JSON.parse,
      stringify: async (session) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return JSON.stringify(session);
      },
    },
  });
  await store.set("sid", sessionOf());
  const session = Object.assign((await store.get("sid")) as object, { a: 1 });
  await store.set("sid", session as never);
  const lives = client.commands
    .filter(([name]) => name === "SET")
    .map((words) => words.at(words.indexOf("PX") + 1));
  expect(lives).toEqual(["100000", "100000"]);
});
