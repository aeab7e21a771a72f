import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join, resolve } from "node:path";
import { io, type Socket } from "socket.io-client";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { Browser, type Packed, pack, type Started, start } from "../support/app-folder.js";
import { connect, rawOf, type TestClient, until } from "../support/store.js";

const folder = resolve(__dirname, "../../examples/neighbours");
const sources = readdirSync(folder).filter((name) => name.endsWith(".js"));

/** What the examples import, besides Node itself and the package. */
const imported = [
  ...new Set(
    sources.flatMap((name) =>
      [...readFileSync(join(folder, name), "utf8").matchAll(/^import .*?"([^."][^"]*)";$/gm)].map(
        ([, from = ""]) => from,
      ),
    ),
  ),
].filter((from) => !from.startsWith("node:") && from !== "redis-session-store");

let packed: Packed;
let redis: RedisServer;
let client: TestClient;
let dir: string;
beforeAll(async () => {
  // The examples leave the prefix as it is, so they need a server to themselves.
  [packed, redis] = await Promise.all([pack(), startRedis()]);
  client = await connect(6, redis.url);
  const files = sources.map((name) => [name, readFileSync(join(folder, name), "utf8")]);
  const text = { "package.json": '{"type":"module"}', ...Object.fromEntries(files) };
  dir = await packed.app(text, Object.fromEntries(imported.map((name) => [name, name])));
});
afterAll(() => Promise.all([packed?.remove(), redis?.stop()]));
beforeEach(() => client.sendCommand(["FLUSHALL"]));

const running: Started[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

async function run(example: string): Promise<string> {
  const server = await start(join(dir, example), {
    REDIS_URL: redis.url,
    SESSION_SECRET: "0123456789abcdef0123456789abcdef",
  });
  running.push(server);
  return server.url;
}

/** How many sessions there are. */
const sessions = () => client.sendCommand(["DBSIZE"]);

test("each example has its test here", () => {
  const text = readFileSync(__filename, "utf8");
  for (const name of sources) {
    if (name !== "shared.js") expect(text).toContain(`run("${name}")`);
  }
});

describe("passport", () => {
  test("a login gives the session a new id, and a logout ends it for good", async () => {
    const url = await run("passport.js");
    const browser = new Browser();
    expect(await browser.get(url)).toBe("Visits: 1\n");
    const stranger = browser.cookie;
    expect(await browser.post(`${url}/login`, {})).toBe("Unauthorized");
    expect(await browser.post(`${url}/login`, { user: "ada" })).toBe("welcome\n");
    const loggedIn = browser.cookie;
    expect(loggedIn).not.toBe(stranger);
    expect(await browser.get(`${url}/me`)).toBe('{"user":"ada","visits":0}');
    // What the stranger's cookie opened is gone: nobody can have planted it.
    expect(await sessions()).toBe(1);
    expect(await browser.post(`${url}/logout`)).toBe("bye\n");
    const thief = await fetch(`${url}/me`, { headers: { cookie: loggedIn } });
    expect(await thief.text()).toBe('{"user":null,"visits":0}');
    expect(await browser.get(`${url}/me`)).toBe('{"user":null,"visits":0}');
  });

  test("an upload that ends after the logout does not bring the user back", async () => {
    const url = await run("passport.js");
    const browser = new Browser();
    await browser.post(`${url}/login`, { user: "ada" });
    const { cookie } = browser;
    const upload = request(`${url}/upload`, { method: "PUT", headers: { cookie } });
    const done = new Promise<number | undefined>((resolve, reject) => {
      upload.on("response", (response) => resolve(response.resume().statusCode));
      upload.on("error", reject);
    });
    await client.sendCommand(["CONFIG", "RESETSTAT"]);
    upload.write("the first half");
    // It is under way once its session has been read.
    await until(async () =>
      /cmdstat_get:calls=[1-9]/.test(String(await client.sendCommand(["INFO", "commandstats"]))),
    );
    await browser.post(`${url}/logout`);
    upload.end("the second half");
    expect(await done).toBe(200);
    for (const old of [cookie, browser.cookie]) {
      const seen = await fetch(`${url}/me`, { headers: { cookie: old } });
      expect(await seen.text()).toBe('{"user":null,"visits":0}');
    }
  });
});

test("connect-flash: a message is shown once, by whichever page comes next", async () => {
  const url = await run("connect-flash.js");
  const browser = new Browser();
  await browser.post(`${url}/notes`, { note: "milk" });
  await browser.post(`${url}/notes`, { note: "eggs" });
  expect(await browser.get(url)).toBe("saved: milk\nsaved: eggs");
  expect(await browser.get(url)).toBe("");
});

test("csrf-sync: a form needs the token of its own session, on every server", async () => {
  const [one, two] = await Promise.all([run("csrf.js"), run("csrf.js")]);
  const browser = new Browser();
  const token = await browser.get(`${one}/form`);
  expect(token).toMatch(/^[0-9a-f]{32,}$/);
  expect(await browser.get(`${two}/form`)).toBe(token);
  expect(await browser.post(`${two}/form`, { token })).toBe("Visits: 1\n");
  expect(await browser.post(`${one}/form`, { token })).toBe("Visits: 2\n");
  const forged = await browser.fetch(`${one}/form`, { method: "POST" });
  expect(forged.status).toBe(403);
  const other = new Browser();
  await other.get(`${one}/form`);
  const stolen = { method: "POST", body: new URLSearchParams({ token }) };
  expect((await other.fetch(`${one}/form`, stolen)).status).toBe(403);
});

describe("Socket.IO", () => {
  const sockets: Socket[] = [];
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.disconnect();
  });
  const open = (url: string, cookie: string) => {
    const socket = io(url, { extraHeaders: { cookie }, reconnection: false });
    sockets.push(socket);
    return socket;
  };
  const event = (socket: Socket, name: string) =>
    new Promise<unknown>((resolve) => {
      socket.once(name, resolve);
    });

  test("events share the session with requests, over servers, until the logout", async () => {
    const [one, two] = await Promise.all([run("socket.io.js"), run("socket.io.js")]);
    const browser = new Browser();
    await browser.post(`${one}/login/ada`);
    const first = open(one, browser.cookie);
    const second = open(two, browser.cookie);
    expect(await first.emitWithAck("message", "hello")).toEqual({ user: "ada", messages: 1 });
    expect(await second.emitWithAck("message", "hello")).toEqual({ user: "ada", messages: 2 });
    expect(await first.emitWithAck("message", "hello")).toEqual({ user: "ada", messages: 3 });
    expect(JSON.parse(await browser.get(two))).toEqual({ user: "ada", messages: 3 });
    await client.sendCommand(["FLUSHALL"]);
    const closed = event(first, "disconnect");
    first.emit("message", "hello", () => {});
    await closed;
    expect(await sessions()).toBe(0);
  });

  test("a login gives the session a new id: a cookie that was planted before opens nothing", async () => {
    const url = await run("socket.io.js");
    const browser = new Browser();
    await browser.post(`${url}/login/ada`);
    const before = browser.cookie;
    await browser.post(`${url}/login/ada`);
    expect(browser.cookie).not.toBe(before);
    expect(String(await event(open(url, before), "connect_error"))).toContain("log in first");
    expect(await open(url, browser.cookie).emitWithAck("message", "hello")).toMatchObject({
      user: "ada",
    });
  });

  test.each(["polling", "websocket"])("a page of somebody else cannot connect: %s", async (by) => {
    const url = await run("socket.io.js");
    const browser = new Browser();
    await browser.post(`${url}/login/ada`);
    const from = (origin: string) => {
      const extraHeaders = { cookie: browser.cookie, origin };
      const socket = io(url, { extraHeaders, reconnection: false, transports: [by] });
      sockets.push(socket);
      return socket;
    };
    await event(from(url), "connect");
    for (const origin of ["http://evil.example", "null"]) {
      expect(await event(from(origin), "connect_error")).toBeInstanceOf(Error);
    }
  });

  test("a socket without a login is refused", async () => {
    const socket = open(await run("socket.io.js"), "");
    expect(String(await event(socket, "connect_error"))).toContain("log in first");
  });
});

test.each([
  ["NestJS", () => run("nestjs.js")],
  ["@fastify/session", () => run("fastify.js")],
  ["plain http, and Next.js", () => run("http.js")],
])("%s: visits are counted over servers, and a logout ends the session", async (_, serve) => {
  const [one, two] = await Promise.all([serve(), serve()]);
  const browser = new Browser();
  for (const [index, url] of [one, two, two, one].entries()) {
    expect(await browser.get(url)).toBe(`Visits: ${index + 1}\n`);
  }
  expect(await sessions()).toBe(1);
  const old = browser.cookie;
  const logout = await browser.fetch(`${two}/logout`, { method: "POST" });
  expect(await logout.text()).toBe("bye\n");
  expect(await sessions()).toBe(0);
  const again = await fetch(one, { headers: { cookie: old } });
  expect(await again.text()).toBe("Visits: 1\n");
});

test("@fastify/session: a session lives as long as its cookie, from the last change on", async () => {
  const url = await run("fastify.js");
  const browser = new Browser();
  await browser.get(url);
  const raw = rawOf(client);
  const [key = ""] = await raw.send<string[]>("KEYS", "*");
  await raw.send("PEXPIRE", key, "5000");
  await browser.get(url);
  const left = await raw.pttl(key);
  expect(left).toBeGreaterThan(29 * 60_000);
  expect(left).toBeLessThanOrEqual(31 * 60_000);
});

test("a proxy that ends TLS: the cookie is Secure just where the browser came by https", async () => {
  const url = await run("proxy.js");
  const byHttps = new Browser({ "x-forwarded-proto": "https" });
  const secure = await byHttps.fetch(url);
  expect(secure.headers.get("set-cookie")).toMatch(/^sid=.*HttpOnly; Secure; SameSite=Lax$/);
  expect(secure.headers.get("strict-transport-security")).not.toBeNull();
  expect(await byHttps.get(url)).toBe("Visits: 2\n");
  const byHttp = new Browser();
  const plain = await byHttp.fetch(url);
  expect(plain.headers.get("set-cookie")).toMatch(/^sid=.*HttpOnly; SameSite=Lax$/);
  expect(await byHttp.get(url)).toBe("Visits: 2\n");
  const kept = await rawOf(client).send<string[]>("KEYS", "*");
  const texts = await Promise.all(kept.map((key) => rawOf(client).get(key)));
  const flags = texts.map(
    (text) => (JSON.parse(text ?? "") as { cookie: { secure: boolean } }).cookie.secure,
  );
  expect(new Set(flags)).toEqual(new Set([true, false]));
});
