import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type Build, build } from "../support/build.js";
import { connect, freshPrefix, rawOf, type TestClient, url } from "../support/store.js";

/** A server of an app, in a process of its own. */
interface Server {
  readonly process: ChildProcess;
  readonly origin: string;
}

let library: Build;
let client: TestClient;
const prefix = freshPrefix();
const servers: Server[] = [];

async function start(): Promise<Server> {
  const path = require.resolve("../support/app-server.js");
  const child = fork(path, [join(library.dir, "index.js"), url, prefix], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  const [port] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  return { process: child, origin: `http://127.0.0.1:${port.toString().trim()}` };
}

beforeAll(async () => {
  library = await build();
  client = await connect();
  servers.push(...(await Promise.all([start(), start()])));
});

afterAll(async () => {
  await Promise.all(
    servers.map(async ({ process: child }) => {
      const exit = once(child, "exit");
      child.kill();
      await exit;
    }),
  );
  await library.remove();
});

async function get(server: number, path: string, cookie = ""): Promise<Response> {
  const response = await fetch(`${servers[server]?.origin}${path}`, { headers: { cookie } });
  expect(response.status).toBe(200);
  return response;
}

/** Logs in and gives the cookie and the key of the session. */
async function login(): Promise<{ cookie: string; key: string }> {
  const response = await get(0, "/login");
  // The head of a response comes before the session is stored, its end after that.
  await response.text();
  const cookie = response.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const sid = /s%3A([^.]+)/.exec(cookie)?.[1] ?? "";
  return { cookie, key: prefix + sid };
}

async function stored(key: string): Promise<Record<string, unknown>> {
  return JSON.parse((await rawOf(client).get(key)) ?? "{}") as Record<string, unknown>;
}

test.each([
  ["at the end of the response", ""],
  ["by req.session.save()", "&save"],
])(
  "100 requests at once on two processes, each adding its own key: all 100 are there, saved %s",
  async (_, save) => {
    const { cookie, key } = await login();
    const pids = new Set(servers.map((server) => server.process.pid));
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_none, index) => {
        const path = `/add?key=k${index}&together=50${save}`;
        return (await get(index % 2, path, cookie)).text();
      }),
    );
    const { cookie: _cookie, user, ...keys } = await stored(key);
    expect(user).toBe("ann");
    expect(Object.keys(keys).sort()).toEqual(
      Array.from({ length: 100 }, (_none, index) => `k${index}`).sort(),
    );
    expect(new Set(Object.values(keys))).toEqual(pids);
    if (save) {
      expect(new Set(answers)).toEqual(new Set(["OK", "MERGED"]));
      expect(answers.filter((answer) => answer === "OK")).toHaveLength(1);
    }
  },
);

test("a logout on one process among 40 requests on both: the session never comes back", async () => {
  const { cookie, key } = await login();
  // The last request of each process, which lets the others go on, comes only after the logout.
  const slow = Array.from({ length: 38 }, async (_none, index) =>
    (await get(index % 2, `/add?key=k${index}&together=20&save`, cookie)).text(),
  );
  while ((await sessionsLoaded()) < 38) await new Promise((resolve) => setTimeout(resolve, 5));
  await get(1, "/logout", cookie);
  expect(await rawOf(client).exists(key)).toBe(false);
  const others = [0, 1].map(async (server) => get(server, "/add?key=last&together=20&save"));
  expect(new Set(await Promise.all(slow))).toEqual(new Set(["GONE"]));
  await Promise.all(others);
  expect(await rawOf(client).exists(key)).toBe(false);

  async function sessionsLoaded(): Promise<number> {
    const counts = await Promise.all(
      servers.map(async ({ origin }) => Number(await (await fetch(`${origin}/waiting`)).text())),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }
});

test("a save that cannot be written, behind another one, rejects and harms nothing else", async () => {
  const outcome = await library.run<{ results: string[]; unhandled: string[]; stored: object }>(`
    import { createClient } from "redis";
    import { RedisStore } from "./index.js";
    const unhandled = [];
    process.on("unhandledRejection", (error) => unhandled.push(String(error)));
    const client = await createClient({ url: ${JSON.stringify(url)} }).connect();
    const store = new RedisStore({ client, prefix: ${JSON.stringify(freshPrefix())} });
    await store.set("sid", { cookie: { originalMaxAge: null }, n: 0 });
    const load = () => new Promise((resolve) => store.load("sid", (_, session) => resolve(session)));
    const [first, bad, last] = [await load(), await load(), await load()];
    first.n = 1;
    bad.circle = bad;
    last.o = 1;
    const saves = [first, bad, { big: 1n }, last].map((session) => store.set("sid", session));
    const results = (await Promise.allSettled(saves)).map(({ value, reason }) => value ?? reason.code);
    await new Promise((resolve) => setTimeout(resolve, 10));
    const stored = JSON.parse(await client.get(store.prefix + "sid"));
    await store.clear();
    client.destroy();
    console.log(JSON.stringify({ results, unhandled, stored }));
  `);
  expect(outcome).toMatchObject({
    results: ["OK", "ERR_INVALID_SESSION", "ERR_INVALID_SESSION", "MERGED"],
    unhandled: [],
    stored: { n: 1, o: 1 },
  });
});

test("a touch whose new cookie the serializer refuses rejects, asks for nothing more and harms nothing else", async () => {
  const outcome = await library.run<{
    results: string[];
    more: number;
    unhandled: string[];
    stored: object;
  }>(`
    import { createClient } from "redis";
    import { RedisStore } from "./index.js";
    const unhandled = [];
    process.on("unhandledRejection", (error) => unhandled.push(String(error)));
    const client = await createClient({ url: ${JSON.stringify(url)} }).connect();
    // How many texts it writes before it refuses one, and all after that.
    let left = Infinity;
    let refused = 0;
    const serializer = {
      parse: JSON.parse,
      stringify: async (session) => {
        const text = JSON.stringify(session);
        if (left-- > 0) return text;
        refused++;
        throw new Error("refused");
      },
    };
    const prefix = ${JSON.stringify(freshPrefix())};
    const store = new RedisStore({ client, prefix, serializer });
    await store.set("sid", { cookie: { originalMaxAge: null }, n: 1 });
    const load = () => new Promise((resolve) => store.load("sid", (_, session) => resolve(session)));
    const results = [];
    let more = 0;
    // Each of the texts that such a touch takes is refused once.
    for (let texts = 0; results.at(-1) !== "OK" && texts < 100; texts++) {
      left = Infinity;
      const session = await load();
      session.cookie.maxAge = 9_000_000;
      left = texts;
      refused = 0;
      results.push(await store.touch("sid", session).catch(({ code }) => code));
      await new Promise(setImmediate);
      if (refused > 1) more++;
    }
    const stored = JSON.parse(await client.get(prefix + "sid"));
    left = Infinity;
    await store.clear();
    client.destroy();
    console.log(JSON.stringify({ results, more, unhandled, stored }));
  `);
  expect(outcome.unhandled).toEqual([]);
  expect(outcome.more).toBe(0);
  const codes = outcome.results.slice(0, -1);
  expect(codes.length).toBeGreaterThan(1);
  expect(new Set(codes)).toEqual(new Set(["ERR_INVALID_SESSION"]));
  expect(outcome.results.at(-1)).toBe("OK");
  expect(outcome.stored).toMatchObject({ n: 1, cookie: { originalMaxAge: 9_000_000 } });
});
