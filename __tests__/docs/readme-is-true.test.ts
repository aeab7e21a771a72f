import { type ChildProcess, spawn } from "node:child_process";
import { access, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { RedisStore } from "../../lib/index.js";
import { resolveOptions } from "../../lib/options.js";
import { connect } from "../support/store.js";

const root = resolve(__dirname, "../..");

/** A folder as a user's: the packages that the README says to install, and nothing else. */
let folder: string;
let readme: string;
beforeAll(async () => {
  readme = await readFile(join(root, "README.md"), "utf8");
  folder = await mkdtemp(join(tmpdir(), "readme-"));
  await mkdir(join(folder, "node_modules"));
  for (const name of ["express", "express-session", "redis"]) {
    await symlink(join(root, "node_modules", name), join(folder, "node_modules", name));
  }
  await symlink(root, join(folder, "node_modules", "redis-session-store"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A port that nobody listens on now. */
function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => done(port));
    });
  });
}

/** The first answer of an app that is starting. */
async function firstAnswer(url: string, app: ChildProcess): Promise<Response> {
  for (;;) {
    try {
      return await fetch(url);
    } catch (error) {
      if (app.exitCode !== null) throw error;
      await new Promise((next) => setTimeout(next, 50));
    }
  }
}

test.each(["app.mjs", "app.cjs"])("the app of the README runs: %s", async (name) => {
  const start = readme.indexOf(`<!-- sample: ${name} -->`);
  const [, code = ""] = /```js\n(.*?)```/s.exec(readme.slice(start)) ?? [];
  await writeFile(join(folder, name), code);
  const port = await freePort();
  const env = {
    ...process.env,
    PORT: String(port),
    REDIS_URL: process.env.REDIS_SESSION_STORE_TEST_URL,
  };
  const app = spawn(process.execPath, [name], { cwd: folder, env, stdio: "inherit" });
  try {
    const url = `http://127.0.0.1:${port}/`;
    const first = await firstAnswer(url, app);
    expect(await first.text()).toContain("1 times");
    const cookie = first.headers.get("set-cookie")?.split(";")[0] ?? "";
    const second = await fetch(url, { headers: { cookie } });
    expect(await second.text()).toContain("2 times");
  } finally {
    app.kill();
  }
});

test("the README names every option, with its default, and no other", async () => {
  const rows = [...section("Options").matchAll(/^\| `(\w+)` \|[^|]*\| ([^|]*) \|/gm)];
  const client = await connect();
  const names = rows.map(([, name = ""]) => name);
  const message = await refusal(() => new RedisStore({ client, nonsense: 1 } as never));
  const known = message.replace(/^.*the options are /, "").split(", ");
  expect(names.toSorted()).toEqual(known.toSorted());
  const { rules, disableTTL, disableTouch, scanCount, timeout, prefix, ttl, whenDown } =
    resolveOptions({ client });
  const defaults = Object.fromEntries(rows.map(([, name, text]) => [name, text?.trim()]));
  expect(defaults).toMatchObject({
    prefix: `\`"${prefix}"\``,
    ttl: `\`${String(ttl)}\``,
    rolling: `\`${rules.rolling}\``,
    touchAfter: `\`${rules.touchAfter / 1000}\``,
    disableTTL: `\`${disableTTL}\``,
    disableTouch: `\`${disableTouch}\``,
    scanCount: `\`${scanCount}\``,
    timeout: `\`${timeout}\``,
    whenDown: `\`"${whenDown}"\``,
  });
});

test("the README names every error code", async () => {
  const source = await readFile(join(root, "lib/base/errors.ts"), "utf8");
  const codes = new Set(source.match(/ERR_[A-Z_]+/g));
  const named = new Set(section("Errors").match(/ERR_[A-Z_]+/g));
  expect([...named].sort()).toEqual([...codes].sort());
});

test("every link of the README to a place or a file leads there", async () => {
  const anchors = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
  for (const [, target = ""] of readme.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (target.startsWith("#")) expect(anchors).toContain(target.slice(1));
    else if (!target.startsWith("http")) await access(join(root, target.replace(/#.*/, "")));
  }
});

function section(title: string): string {
  const start = readme.indexOf(`\n## ${title}\n`);
  const end = readme.indexOf("\n## ", start + 1);
  return readme.slice(start, end);
}

async function refusal(construct: () => unknown): Promise<string> {
  try {
    construct();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it was not refused");
}
