import { inspect } from "node:util";
import { Redis as Redis6 } from "ioredis";
import { Redis as Redis5 } from "ioredis5";
import { Redis as Valkey } from "iovalkey";
import { createClient } from "redis";
import { expectNoSecrets, keepSecret, noteError } from "../support/errors.js";
import { startServer } from "../support/servers.js";
import {
  connect,
  makeStore,
  rawOf,
  refusal,
  sessionOf,
  type TestClient,
  until,
} from "../support/store.js";

// What an app logs of an error holds no password, no session id and no content, at any depth.

const password = "correct-horse-battery-staple";
const content = "xylophone of a session";
const sid = "0123456789abcdefghijklmnopqrstuv";
keepSecret(password, content, sid);

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

const ignore = () => {};
const withPassword: [string, (port: number) => { client: object; close: () => void }][] = [
  ["ioredis 5", (port) => quiet(new Redis5({ port, password }))],
  ["ioredis 6", (port) => quiet(new Redis6({ port, password }))],
  ["ioredis 6 as a user", (port) => quiet(new Redis6({ port, username: "app", password }))],
  ["iovalkey", (port) => quiet(new Valkey({ port, password }))],
  [
    "redis 6",
    (port) => {
      const made = createClient({ socket: { port }, password });
      made.on("error", ignore);
      made.connect().catch(ignore);
      return { client: made, close: () => made.isOpen && made.destroy() };
    },
  ],
];
function quiet(made: Redis5 | Redis6 | Valkey) {
  (made as Redis6).on("error", ignore);
  return { client: made, close: () => made.disconnect() };
}

test.each(withPassword)("%s: a password that the server refuses", async (_, make) => {
  const server = await startServer({ args: ["--requirepass", "another-password-of-it"] });
  const { client: refused, close } = make(server.port);
  try {
    const store = makeStore(refused as TestClient, { timeout: 200 });
    // Until the client has heard of it.
    await until(async () => {
      const error = await refusal(store.get(sid));
      return error.code === "ERR_NO_PERMISSION" || /WRONGPASS|NOAUTH/.test(inspect(error));
    });
    expect(inspect(await refusal(store.set(sid, sessionOf({ content }))))).not.toContain(password);
    expect(expectNoSecrets()).toBeGreaterThan(0);
  } finally {
    close();
    await server.stop();
  }
});

test("a command that the server does not know is not quoted", async () => {
  const server = await startServer({ args: ["--rename-command", "SET", ""] });
  const ioredis = quiet(new Redis6({ port: server.port }));
  for (const way of [ioredis.client, await connect(6, server.url)]) {
    const error = await refusal(makeStore(way as TestClient).set(sid, sessionOf({ content })));
    expect(error.code).toBe("ERR_REDIS");
  }
  expect(expectNoSecrets()).toBe(2);
  ioredis.close();
  await server.stop();
});

test.each([
  ["text", content],
  ["a truncated session", `{"user":"${content}`],
  ["what follows a session", `{"a":1} ${content}`],
  ["quotation marks", `{"a":"""${content}"}`],
])("a value that is no session is not quoted: %s", async (_, value) => {
  const store = makeStore(client);
  await rawOf(client).set(store.prefix + sid, value);
  const listed: unknown[] = [];
  store.on("corrupt", (_sid, error: unknown) => listed.push(error));
  const error = await refusal(store.get(sid));
  expect(error.code).toBe("ERR_CORRUPT_SESSION");
  expect(error.cause).toMatchObject({ name: "SyntaxError" });
  expect(await store.all()).toEqual([]);
  await until(() => listed.length === 1);
  noteError(listed[0]);
  // No part of it either.
  for (const one of [error, listed[0]]) expect(inspect(one)).not.toMatch(/xylo|phone/);
  expect(expectNoSecrets()).toBe(2);
});

test("a session that cannot be serialized: the error says why, without content", async () => {
  const store = makeStore(client);
  const circle: Record<string, unknown> = { content };
  circle.self = circle;
  const error = await refusal(store.set(sid, sessionOf({ circle })));
  expect(error.code).toBe("ERR_INVALID_SESSION");
  expect(error.message).toMatch(/an object that holds itself/);
  const big = await refusal(store.set(sid, sessionOf({ content, big: 1n })));
  expect(big.message).toMatch(/BigInt/);
  expect(expectNoSecrets()).toBe(2);
});

test("a command that is refused to a user, one that is given up, and one that is not sent", async () => {
  const server = await startServer();
  const admin = await connect(6, server.url);
  await rawOf(admin).send("ACL", "SETUSER", "app", "on", `>${password}`, "~*", "+get", "+ping");
  const options = { port: server.port, username: "app", password };
  const ioredis = quiet(new Redis6(options));
  const node = createClient({ socket: { port: server.port }, username: "app", password });
  node.on("error", ignore);
  await node.connect();
  for (const way of [ioredis.client, node]) {
    const store = makeStore(way as TestClient, { timeout: 200 });
    expect((await refusal(store.set(sid, sessionOf({ content })))).code).toBe("ERR_NO_PERMISSION");
    server.kill("SIGSTOP");
    expect((await refusal(store.get(sid))).code).toBe("ERR_TIMEOUT");
    await until(async () => (await refusal(store.get(sid))).code === "ERR_UNAVAILABLE");
    server.kill("SIGCONT");
    await until(async () => (await store.get(sid).catch(() => 1)) === null);
  }
  expect(expectNoSecrets()).toBeGreaterThan(5);
  ioredis.close();
  node.destroy();
  await server.stop();
});
