import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { RedisStore } from "../../lib/index.js";
import { type Packed, pack } from "../support/app-folder.js";
import { command } from "../support/command.js";
import { ask, formOf, linksTo, openConsole, send } from "../support/console.js";
import { type Server, startServer } from "../support/servers.js";
import { connect, sessionOf, type TestClient } from "../support/store.js";

/*
 * An operator who has read docs/cli.md and the console's own pages, and nothing else: runs the commands
 * that the page names, with the file that it shows, and follows links by their words.
 */

const page = readFileSync(resolve(__dirname, "../../docs/cli.md"), "utf8");

/** The commands below each question. */
const answers = new Map<string, string[]>();
let question = "";
for (const line of (/^```sh\n(# Is this.*?)^```/ms.exec(page)?.[1] ?? "").split("\n")) {
  const words = /^# (.*?[.?])(?: |$)/.exec(line)?.[1];
  if (words !== undefined) question = words;
  const args = /^npx redis-session-store (.*)/.exec(line)?.[1];
  if (args !== undefined) answers.set(question, [...(answers.get(question) ?? []), args]);
}

const userId = (session: object) => (session as { user?: { id?: string } }).user?.id;

let packed: Packed;
let cwd: string;
let server: Server;
let store: RedisStore<TestClient>;
beforeAll(async () => {
  [packed, server] = await Promise.all([
    pack(),
    startServer({ args: ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"] }),
  ]);
  const config = /^```js\n(\/\/ store\.config\.mjs\n.*?)^```/ms.exec(page)?.[1] ?? "";
  cwd = await packed.app({ "store.config.mjs": config }, { redis: "redis" });
  const client = await connect(6, server.url);
  store = new RedisStore({ client, userId, endings: { keepFor: 86_400 } });
});
afterAll(() => Promise.all([packed.remove(), server.stop()]));
beforeEach(async () => {
  await server.command("FLUSHALL");
  const of = (id: string, more = {}) => sessionOf({ user: { id }, ...more });
  await store.set("ada-1", of("ada"));
  await store.set("ada-2", of("ada"));
  await store.set("bob-1", of("bob", { cart: { upload: "x".repeat(50_000) } }));
  await store.set("visitor", sessionOf());
});

/** What the command of a question prints; of several, all of it. */
async function answer(asked: string, handle = ""): Promise<string> {
  const lines = answers.get(asked);
  if (lines === undefined) throw new Error(`docs/cli.md does not answer "${asked}"`);
  let printed = "";
  for (const line of lines) {
    const args = line.match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', "")) ?? [];
    const named = args.map((word) => (word === "HANDLE" ? handle : word));
    const sure = named[0] === "end" ? [...named, "--yes"] : named;
    const ran = await command(sure, { cwd, env: { REDIS_URL: server.url } });
    if (ran.code !== 0 && ran.code !== 1) throw new Error(`${line}: ${ran.stderr}`);
    printed += ran.stdout + ran.stderr;
  }
  return printed;
}

describe("by the command", () => {
  test("how many are logged in, and who are they", async () => {
    const counted = await answer("How many are logged in?");
    expect(counted).toMatch(/sessions: 4,/);
    expect(counted).toContain("users: 3 sessions are logged in, as 2 users");
    const rows = (await answer("Who are they?")).split("\n");
    expect(rows.filter((row) => row.endsWith(" ada"))).toHaveLength(2);
    expect(rows.filter((row) => row.endsWith(" bob"))).toHaveLength(1);
    const hers = await answer("Where is one user logged in?");
    for (const sid of ["ada-1", "ada-2"]) expect(hers).toContain(store.handleOf(sid));
    expect(hers).not.toContain(store.handleOf("bob-1"));
  });

  test("why is Redis full", async () => {
    const told = await answer("Why is Redis full?", store.handleOf("bob-1"));
    expect(told).toMatch(/memory: .* of 52.4 MB used/);
    expect(told).toMatch(/keys: \d+ of sessions and of others/);
    // The largest comes first, and shows what is in it.
    const [, largest] = /^(h\S{43}) .* bob$/m.exec(told) ?? [];
    expect(largest).toBe(store.handleOf("bob-1"));
    expect(told).toMatch(/\/cart\/upload +string +50.0 kB/);
  });

  test("end this one, and say why", async () => {
    const handle = store.handleOf("ada-1");
    expect(await answer("End this one.", handle)).toContain("1 ended");
    expect((await store.ids()).sort()).toEqual(["ada-2", "bob-1", "visitor"]);
  });

  test("end all of this user's, and say why", async () => {
    expect(await answer("End all of this user's, and leave a reason.")).toContain("2 ended");
    expect((await store.ids()).sort()).toEqual(["bob-1", "visitor"]);
    const why = await answer("Why was it ended?", store.handleOf("ada-1"));
    expect(why).toMatch(/^revoked, /);
    expect(why).toContain("stolen phone");
  });

  test("is this Redis fit for sessions", async () => {
    const told = await answer("Is this Redis fit for sessions?");
    expect(told).toMatch(/doubtful eviction: allkeys-lru/);
    expect(told).toContain("set maxmemory-policy noeviction");
    expect(told).toMatch(/doubtful persistence: /);
    expect(told).toMatch(/\d+ to look at/);
  });
});

describe("by the console", () => {
  const words = (body: string) => body.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");

  test("how many are logged in, who they are, and how Redis does", async () => {
    const { url } = await openConsole(store, { userId });
    const overview = await ask(url);
    expect(words(overview.body)).toMatch(/Sessions 4 Logged in 3, 2 users/);
    // Why Redis is full, and whether it is fit: its memory and policy, the largest session, the doctor.
    expect(words(overview.body)).toMatch(/The largest .* bob .*50.\d kB/);
    expect(words(overview.body)).toMatch(/of 52.4 MB allkeys-lru 0/);
    expect(words(overview.body)).toContain("npx redis-session-store doctor");
    const list = await ask(url + (linksTo("list", overview.body)[0] ?? ""));
    expect(linksTo("user", list.body).map((link) => link.replace(/.*id=/, ""))).toEqual(
      expect.arrayContaining(["ada", "bob"]),
    );
  });

  test("end this one, and all of this user's", async () => {
    const { url } = await openConsole(store, { userId });
    const user = await ask(`${url}?at=user&id=ada`);
    const session = await ask(url + (linksTo("session", user.body)[0] ?? ""));
    expect((await send(url, formOf("End this session", session.body))).status).toBe(303);
    expect(await store.length()).toBe(3);
    expect((await send(url, formOf("End all sessions of ada", session.body))).status).toBe(303);
    expect((await store.ids()).sort()).toEqual(["bob-1", "visitor"]);
  });
});
