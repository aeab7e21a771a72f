import { ask, openConsole } from "../support/console.js";
import { startServer } from "../support/servers.js";
import { connect, freshPrefix, makeStore, rawOf, sessionOf } from "../support/store.js";

test("the overview shows memory, limit, policy and evictions of the server", async () => {
  const redis = await startServer({
    args: ["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"],
  });
  const client = await connect(6, redis.url);
  const store = makeStore(client);
  await store.set("sid", sessionOf());
  const { url } = await openConsole(store);
  const { body } = await ask(url);
  expect(body).toMatch(/(Redis|Valkey) \d+\.\d+\.\d+/);
  expect(body).toMatch(/B of 3\.1 MB/);
  expect(body).toContain("<td>allkeys-lru</td><td>0</td>");
  expect(body).not.toContain("has evicted keys");

  const { send } = rawOf(client);
  for (let i = 0; i < 40; i++) await send("SET", `${freshPrefix()}${i}`, "x".repeat(100_000));
  const full = await ask((await openConsole(store)).url);
  expect(full.body).toContain("Redis has evicted keys since it was started");
  await redis.stop();
});

test("where the Redis user may not run INFO, it is unknown, and the page is there", async () => {
  const admin = rawOf(await connect());
  const user = `user-${Date.now()}`;
  await admin.send("ACL", "SETUSER", user, "on", "nopass", "~*", "&*", "+@all", "-info");
  const { host } = new URL(process.env.REDIS_SESSION_STORE_TEST_URL ?? "");
  const store = makeStore(await connect(6, `redis://${user}:x@${host}`));
  await store.set("sid", sessionOf());
  const { url } = await openConsole(store);
  const { status, body } = await ask(url);
  expect(status).toBe(200);
  expect(body).toContain("Its memory is unknown");
  await store.clear();
  await admin.send("ACL", "DELUSER", user);
});
