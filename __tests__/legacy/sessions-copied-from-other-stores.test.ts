import { execFile } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import session from "express-session";
import supertest from "supertest";
import { RedisStore } from "../../lib/index.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { type Packed, pack } from "../support/app-folder.js";
import { connect, makeApp, rawOf, read, type TestClient, visit } from "../support/store.js";

const script = readFileSync(resolve(__dirname, "../../examples/copy-sessions.js"), "utf8");

/** Old stores: what `all()` of each says of the same sessions. */
const MEMORY = `
import { readFileSync } from "node:fs";
import session from "express-session";
const store = new session.MemoryStore();
store.sessions = JSON.parse(readFileSync(new URL("old.json", import.meta.url), "utf8"));
export default store;
`;
const LIST = `
import memory from "./memory.js";
export default {
  all: (done) => memory.all((error, found) =>
    done(error, Object.entries(found ?? {}).map(([id, session]) => ({ ...session, id })))),
};
`;
/** The real store, over a database in the place of MongoDB; its touch has moved \`expires\` only. */
const MONGO = `
import { MongoStore } from "connect-mongo";
import memory from "./memory.js";
const collection = {
  async *find() {
    for (const [sid, text] of Object.entries(memory.sessions)) {
      const session = JSON.parse(text);
      const { cookie } = session;
      const expires = cookie.expires ? new Date(cookie.expires) : undefined;
      if (expires) cookie.expires = new Date(expires.getTime() - 3_600_000);
      if (!expires || expires > new Date()) {
        yield { _id: sid, ...(expires ? { expires } : {}), session: JSON.stringify(session) };
      }
    }
  },
};
const client = { db: () => ({ collection: () => collection }) };
export default MongoStore.create({ client, autoRemove: "disabled" });
`;

let packed: Packed;
let redis: RedisServer;
let client: TestClient;
let cookies: Map<string, string>;
let old: Record<string, string>;
beforeAll(async () => {
  [packed, redis] = await Promise.all([pack(), startRedis()]);
  client = await connect(6, redis.url);
  const memory = new session.MemoryStore();
  const app = makeApp(memory, { "/visit": visit }, { cookie: { maxAge: 600_000 } });
  cookies = new Map();
  for (let n = 0; n < 3; n++) {
    const answer = await supertest(app).get("/visit");
    const cookie = answer.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    cookies.set(decodeURIComponent(cookie).split(":")[1]?.split(".")[0] ?? "", cookie);
  }
  old = (memory as unknown as { sessions: Record<string, string> }).sessions;
  old.timeless = JSON.stringify({ cookie: { originalMaxAge: null, expires: null }, visits: 7 });
  const over = { originalMaxAge: 1, expires: new Date(Date.now() - 1000) };
  old.over = JSON.stringify({ cookie: over });
});
afterAll(() => Promise.all([packed?.remove(), redis?.stop()]));
beforeEach(() => client.sendCommand(["FLUSHALL"]));

/** The script beside an old store; runs it and says what it wrote. */
async function folder(name: string) {
  const files = { "memory.js": MEMORY, "list.js": LIST, "mongo.js": MONGO };
  const own = { "package.json": '{"type":"module"}', "copy.js": script };
  const dir = await packed.app(
    { ...files, ...own, "old.json": JSON.stringify(old) },
    { redis: "redis", "connect-mongo": "connect-mongo" },
  );
  const run = async (...flags: string[]) => {
    const { stdout } = await promisify(execFile)(process.execPath, ["copy.js", name, ...flags], {
      cwd: dir,
      env: { ...process.env, REDIS_URL: redis.url },
    });
    return stdout;
  };
  return { dir, run };
}

describe.each(["memory.js", "list.js", "mongo.js"])("from %s", (name) => {
  test("a dry run writes nothing, and a real one copies each live session with its time", async () => {
    const { run } = await folder(name);
    expect(await run()).toMatch(/4 to copy, 0 in Redis already/);
    expect(await client.sendCommand(["DBSIZE"])).toBe(0);
    expect(await run("--write")).toMatch(/4 copied, 0 in Redis already/);
    const raw = rawOf(client);
    for (const [sid, cookie] of cookies) {
      const { cookie: stored } = JSON.parse(old[sid] ?? "") as { cookie: { expires: string } };
      const left = new Date(stored.expires).getTime() - Date.now();
      expect(Math.abs((await raw.pttl(`sess:${sid}`)) - left)).toBeLessThan(5000);
      const app = makeApp(
        new RedisStore({ client }),
        { "/visit": visit, "/read": read },
        {
          cookie: { maxAge: 600_000 },
        },
      );
      expect((await supertest(app).get("/read").set("Cookie", cookie)).body).toEqual({ visits: 1 });
      expect((await supertest(app).get("/visit").set("Cookie", cookie)).text).toBe("2");
    }
    expect(await raw.pttl("sess:timeless")).toBeGreaterThan(86_000_000);
    expect(await raw.exists("sess:over")).toBe(false);
  });

  test("it goes on where it stopped, and neither overwrites nor brings back", async () => {
    const { dir, run } = await folder(name);
    const [first = "", second = ""] = cookies.keys();
    // A user who is in Redis already has moved on there.
    await rawOf(client).set(`sess:${first}`, '{"cookie":{},"visits":50}');
    expect(await run("--write")).toMatch(/3 copied, 1 in Redis already/);
    expect(await rawOf(client).get(`sess:${first}`)).toContain('"visits":50');
    await client.sendCommand(["DEL", `sess:${second}`]);
    expect(await run("--write")).toMatch(/0 copied, 0 in Redis already, 4 copied before/);
    expect(await rawOf(client).exists(`sess:${second}`)).toBe(false);
    const marks = join(dir, "copied-sessions.txt");
    expect(readFileSync(marks, "utf8")).not.toContain(first);
    expect(statSync(marks).mode & 0o077).toBe(0);
  });
});
