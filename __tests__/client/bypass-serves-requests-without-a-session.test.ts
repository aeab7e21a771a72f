import { sign } from "cookie-signature";
import supertest from "supertest";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { expectAccounted, startLoad } from "../support/load.js";
import { connect, makeApp, makeStore, newClient, until } from "../support/store.js";

// whenDown: "bypass" lets express-session serve requests without a session.

const timeout = 300;
/** A request reads and writes, each within `timeout`; the rest is for a machine that is busy. */
const bound = 2 * timeout + 2000;

let server: RedisServer;
beforeEach(async () => {
  server = await startRedis();
});
afterEach(() => server.stop());

test("a frozen server: after the timeout requests are served without a session, and with it again when it is back", async () => {
  const store = makeStore(await connect(6, server.url), { timeout, whenDown: "bypass" });
  const seen: string[] = [];
  for (const event of ["down", "up", "disconnect", "connect"]) {
    store.on(event, () => seen.push(event));
  }
  const load = await startLoad(store);
  await load.answers(30);
  server.kill("SIGSTOP");
  await load.failures("bypassed", 50);
  server.kill("SIGCONT");
  await load.everyone();
  const report = await load.stop();
  // Those that were under way when it froze, or began before that was known.
  expectAccounted(report, "ERR_TIMEOUT", "ERR_UNAVAILABLE");
  expect(Object.values(report.failed).reduce((sum, count) => sum + count, 0)).toBeLessThan(30);
  expect(report.slowest).toBeLessThan(bound);
  expect(seen).toEqual(["down", "disconnect", "up", "connect"]);
  expect(await load.lost(store)).toEqual([]);
});

test("a session() that is created while the server is down serves without a session too, and recovers", async () => {
  const store = makeStore(await connect(6, server.url), { timeout, whenDown: "bypass" });
  server.kill("SIGSTOP");
  await store.get("sid").catch(() => {});
  const app = makeApp(store, {
    "/": (req, res) => {
      res.send(String(req.session === undefined));
    },
  });
  await until(async () => (await supertest(app).get("/")).text === "true");
  expect(app.errors).toEqual([]);
  server.kill("SIGCONT");
  await until(async () => (await supertest(app).get("/")).text === "false");
});

test("a server that was never there: the first requests fail in time, then they are served without a session", async () => {
  const { port } = server;
  await server.stop();
  const { client, close } = newClient(6, { url: `redis://127.0.0.1:${port}` });
  client.connect().catch(() => {});
  const store = makeStore(client, { timeout, whenDown: "bypass" });
  const app = makeApp(store, {
    "/": (req, res) => {
      res.send(String(req.session === undefined));
    },
  });
  const cookie = `connect.sid=${encodeURIComponent(`s:${sign("abc", "test")}`)}`;
  await until(async () => (await supertest(app).get("/").set("Cookie", cookie)).text === "true");
  server = await startRedis({ port });
  await until(async () => (await supertest(app).get("/").set("Cookie", cookie)).text === "false");
  close();
});

test('whenDown: "error" emits neither disconnect nor connect: an outage is never a request without a session', async () => {
  const store = makeStore(await connect(6, server.url), { timeout });
  const seen: string[] = [];
  for (const event of ["down", "up", "disconnect", "connect"]) {
    store.on(event, () => seen.push(event));
  }
  const load = await startLoad(store);
  server.kill("SIGSTOP");
  await load.failures("ERR_UNAVAILABLE", 20);
  server.kill("SIGCONT");
  await load.everyone();
  const report = await load.stop();
  expectAccounted(report, "ERR_TIMEOUT", "ERR_UNAVAILABLE");
  expect(report.bypassed).toBe(0);
  expect(seen).toEqual(["down", "up"]);
});
