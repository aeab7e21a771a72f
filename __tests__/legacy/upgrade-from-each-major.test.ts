import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import session from "express-session";
import { RedisStore } from "../../lib/index.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { Browser, type Packed, pack, type Started, start } from "../support/app-folder.js";
import { callbackClient, factoryOf } from "../support/connect-redis.js";
import { connect, rawOf, refusal, type TestClient } from "../support/store.js";

/** What the pages leave out: the app around their store. */
const SERVE = `
const express = require("express");

module.exports = (session, store) => {
  const app = express();
  const cookie = { maxAge: 60_000 };
  app.use(session({ store, secret: "old", resave: false, saveUninitialized: false, cookie }));
  app.get("/login/:user", (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error);
      Object.assign(req.session, { user: req.params.user, visits: 0 });
      res.json(req.session);
    });
  });
  app.get("/visit", (req, res) => {
    req.session.visits++;
    res.json(req.session);
  });
  app.get("/read", (req, res) => res.json(req.session));
  app.get("/save", (req, res, next) => {
    req.session.visits++;
    req.session.save((error) => (error ? next(error) : res.json(req.session)));
  });
  app.get("/logout", (req, res, next) => {
    req.session.destroy((error) => (error ? next(error) : res.json({})));
  });
  const server = app.listen(0, "127.0.0.1", () => {
    console.log("listening on http://127.0.0.1:" + server.address().port);
  });
};
`;

const folder = resolve(__dirname, "../../docs/migration");
const BLOCK = /<!-- run: (\S+) -->\n```js\n([\s\S]*?)```/g;

/** The programs of a page: what it says, and the app around it. */
function programsOf(major: number): Record<string, string> {
  const text = readFileSync(join(folder, `connect-redis-${major}.md`), "utf8");
  expect(text.match(/^```js$/gm)).toHaveLength([...text.matchAll(BLOCK)].length);
  return Object.fromEntries(
    [...text.matchAll(BLOCK)].map(([, name = "", code = ""]) => [
      name,
      name.endsWith(".mjs")
        ? `${code}\nimport serve from "./serve.cjs";\nserve(session, store);\n`
        : `${code}\nrequire("./serve.cjs")(session, store);\n`,
    ]),
  );
}

/** The package redis of the time. */
const REDIS: Record<number, string> = {
  4: "redis2",
  5: "redis3",
  6: "redis4",
  7: "redis4",
  8: "redis5",
};
const connectRedis = (major: number) => (major === 10 ? "connect-redis" : `connect-redis-${major}`);

/** How long a session lives, in seconds: on the pages for 1 to 3 \`ttl\` wins over the cookie. */
const lifeOf = (major: number) => (major <= 3 ? 3600 : 60);

let packed: Packed;
let redis: RedisServer;
let client: TestClient;
beforeAll(async () => {
  // The pages leave the prefix as it is, so they need a server to themselves.
  [packed, redis] = await Promise.all([pack(), startRedis()]);
  client = await connect(6, redis.url);
});
beforeEach(() => client.sendCommand(["FLUSHALL"]));
afterAll(() => Promise.all([packed?.remove(), redis?.stop()]));

const running: Started[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.stop()));
});

async function serve(major: number, name: string): Promise<Started> {
  const programs = programsOf(major);
  const theirs = REDIS[major] ?? "redis";
  // Where a page says so, the app has installed the package redis of today.
  const updated = name.startsWith("modern") || (name.startsWith("after") && major <= 3);
  const app = await packed.app(
    { "serve.cjs": SERVE, [name]: programs[name] ?? "" },
    { express: "express", redis: updated ? "redis" : theirs, "connect-redis": connectRedis(major) },
  );
  const server = await start(join(app, name), { REDIS_URL: redis.url });
  running.push(server);
  return server;
}

interface Seen {
  cookie?: { expires?: string };
  user?: string;
  visits?: number;
}
const majors = readdirSync(folder)
  .flatMap((name) => /^connect-redis-(\d+)\.md$/.exec(name)?.[1] ?? [])
  .map(Number)
  .sort((a, b) => a - b);
const ways = majors.flatMap((major) =>
  Object.keys(programsOfName(major)).map((name) => ({ major, name })),
);

/** The ways over that a page describes. */
function programsOfName(major: number): Record<string, string> {
  const text = readFileSync(join(folder, `connect-redis-${major}.md`), "utf8");
  const names = [...text.matchAll(BLOCK)].map(([, name = ""]) => name);
  return Object.fromEntries(names.filter((name) => !name.startsWith("before")).map((n) => [n, n]));
}

test("there is a page for each major", () => {
  expect(majors).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test.each(ways)(
  "users switch between connect-redis $major and $name, and lose nothing",
  async ({ major, name }) => {
    const raw = rawOf(client);
    const before = name.endsWith(".mjs") ? "before.mjs" : "before.cjs";
    const [old, ours] = await Promise.all([serve(major, before), serve(major, name)]);
    const keyOf = (browser: Browser) => {
      const sid = decodeURIComponent(browser.cookie)
        .replace(/^connect\.sid=s:/, "")
        .split(".")[0];
      return `sess:${sid}`;
    };
    const ask = async (browser: Browser, server: Started, path: string) =>
      JSON.parse(await browser.get(server.url + path)) as Seen;
    /** The session has its whole life before it; a second is lost to rounding down. */
    const expectWhole = async (browser: Browser) => {
      const left = await raw.pttl(keyOf(browser));
      expect(left).toBeGreaterThan((lifeOf(major) - 3) * 1000);
      expect(left).toBeLessThanOrEqual(lifeOf(major) * 1000);
    };

    const ada = new Browser();
    const bob = new Browser();
    await ask(ada, old, "/login/ada");
    await ask(bob, ours, "/login/bob");
    let visits = 0;
    for (const server of [old, ours, ours, old, ours, old, old, ours]) {
      visits++;
      for (const [browser, user] of [
        [ada, "ada"],
        [bob, "bob"],
      ] as const) {
        expect(await ask(browser, server, "/visit")).toMatchObject({ user, visits });
        await expectWhole(browser);
        const other = server === old ? ours : old;
        expect(await ask(browser, other, "/read")).toMatchObject({ user, visits });
      }
    }

    // A user who only reads stays in, whoever serves it. Version 1 could not renew.
    for (const server of major === 1 ? [ours] : [ours, old, ours]) {
      await raw.send("PEXPIRE", keyOf(ada), "20000");
      expect(await ask(ada, server, "/read")).toMatchObject({ user: "ada", visits });
      await expectWhole(ada);
    }

    // Whoever has read for longer than its age has a stale date in the stored text, and may still save.
    const stored = JSON.parse((await raw.get(keyOf(ada))) ?? "") as { cookie: object };
    Object.assign(stored.cookie, { expires: new Date(Date.now() - 5000).toISOString() });
    await raw.send("SET", keyOf(ada), JSON.stringify(stored), "KEEPTTL");
    const { cookie } = await ask(ada, ours, "/read");
    expect(new Date(cookie?.expires ?? 0).getTime()).toBeGreaterThan(Date.now());
    await raw.send("SET", keyOf(ada), JSON.stringify(stored), "KEEPTTL");
    expect(await ask(ada, ours, "/save")).toMatchObject({ user: "ada", visits: visits + 1 });
    await expectWhole(ada);
    expect(await ask(ada, old, "/visit")).toMatchObject({ user: "ada", visits: visits + 2 });

    // Who logs out on one is out on both.
    await ask(ada, old, "/logout");
    await ask(bob, ours, "/logout");
    for (const server of [old, ours]) {
      for (const browser of [ada, bob])
        expect(await ask(browser, server, "/read")).not.toHaveProperty("user");
    }
  },
  60_000,
);

test("the page for 6 tells the truth about 6.1.0: what it leaves of a session is none", async () => {
  const { client: old, close } = await callbackClient("redis 3", redis.url);
  const OldRedisStore = factoryOf(6.1)(session);
  const theirs = new OldRedisStore({ client: old });
  await new Promise((done) => {
    theirs.destroy("a", done);
  });
  const ours = new RedisStore({ client });
  expect(await refusal(ours.get("a"))).toMatchObject({ code: "ERR_CORRUPT_SESSION" });
  await close();
});

test("the line of the documentation gets a tutorial's app running", async () => {
  const text = readFileSync(join(folder, "README.md"), "utf8");
  const section = /## From a tutorial\n[\s\S]*?```js\n(.*)\n```/.exec(text)?.[1] ?? "";
  const tutorial = `
const express = require("express");
const session = require("express-session");
const RedisStore = require("connect-redis")(session);
const app = express();
const { hostname: host, port } = new URL(process.env.REDIS_URL);
app.use(session({
  store: new RedisStore({ host, port, pass: "", db: 0, ttl: 260, prefix: "tutorial:", logErrors: true }),
  secret: "ssshhhhh",
  saveUninitialized: false,
  resave: false,
}));
app.get("/", (req, res) => {
  req.session.views = (req.session.views || 0) + 1;
  res.send(String(req.session.views));
});
const server = app.listen(0, "127.0.0.1", () => {
  console.log("http://127.0.0.1:" + server.address().port);
});
`;
  const line = 'const RedisStore = require("connect-redis")(session);';
  expect(section).toMatch(/^const RedisStore = require/);
  const dir = await packed.app(
    { "old.cjs": tutorial, "new.cjs": tutorial.replace(line, section) },
    { express: "express", redis: "redis", "connect-redis": "connect-redis-3" },
  );
  const browser = new Browser();
  for (const [index, name] of ["old.cjs", "new.cjs", "old.cjs"].entries()) {
    const server = await start(join(dir, name), { REDIS_URL: redis.url });
    running.push(server);
    expect(await browser.get(server.url)).toBe(String(index + 1));
  }
  const [key = ""] = await rawOf(client).send<string[]>("KEYS", "tutorial:*");
  expect(await rawOf(client).pttl(key)).toBeGreaterThan(250_000);
});
