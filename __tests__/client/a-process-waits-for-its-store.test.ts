import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { type Build, build } from "../support/build.js";

// A process does not end, as if all were well, while a promise of the store is open.

let built: Build;
let server: RedisServer;
beforeAll(async () => {
  [built, server] = await Promise.all([build(), startRedis()]);
});
afterAll(async () => {
  await server.stop();
  await built.remove();
});

const neverConnected = `
  import { createClient } from "redis";
  import { RedisStore } from "./index.js";
  const client = createClient();
`;
const session = `{ cookie: { originalMaxAge: null } }`;

const cases: [string, string, string][] = [
  [
    "a client that was never connected",
    `const store = new RedisStore({ client, timeout: 300 });
     const operation = store.get("sid");`,
    "ERR_UNAVAILABLE",
  ],
  [
    "a listing over it",
    `const store = new RedisStore({ client, timeout: 300 });
     const operation = store.ids();`,
    "ERR_UNAVAILABLE",
  ],
  [
    "a serializer that never answers",
    `const serializer = { parse: JSON.parse, stringify: () => new Promise(() => {}) };
     const store = new RedisStore({ client, serializer, timeout: 300 });
     const operation = store.set("sid", ${session});`,
    "ERR_INVALID_SESSION",
  ],
];

test.each(cases)("%s: the process hears of it, and ends then", async (_, code, expected) => {
  const heard = await built.run<{ code: string }>(`
    ${neverConnected}
    ${code}
    operation.catch(({ code }) => console.log(JSON.stringify({ code })));
  `);
  expect(heard.code).toBe(expected);
});

test("a process whose questions are all answered does not wait for the store", async () => {
  // Longer than a run may take; the connection does not hold the process either.
  const { text } = await built.run<{ text: string }>(`
    import { createClient } from "redis";
    import { RedisStore } from "./index.js";
    const client = createClient({ socket: { port: ${server.port} } });
    await client.connect();
    const store = new RedisStore({ client, timeout: 60_000 });
    await store.set("sid", ${session});
    client.unref();
    console.log(JSON.stringify({ text: "done" }));
  `);
  expect(text).toBe("done");
});
