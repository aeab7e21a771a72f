import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { OPTION_NAMES, resolveOptions } from "../../lib/options.js";
import { type Packed, pack, type Started, start } from "../support/app-folder.js";
import { connect, url } from "../support/store.js";

const root = resolve(__dirname, "../..");

/** The text of a page, without what it quotes as code. */
const pages = new Map(
  ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
    .filter((name) => existsSync(join(root, name)))
    .concat(
      ["docs", "examples", "bench"].flatMap((folder) =>
        readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
          .filter((name) => name.endsWith(".md"))
          .map((name) => `${folder}/${name.replaceAll("\\", "/")}`),
      ),
    )
    .map((name) => [name, readFileSync(join(root, name), "utf8")]),
);
const page = (name: string) => pages.get(name) ?? "";

/** What the blocks of code in a page are: the language, the line before the fence, the code. */
const BLOCK = /^(?:<!-- run: (\S+) -->\n)?```(js|ts)\n(.*?)^```$/gms;

interface Sample {
  readonly page: string;
  readonly line: number;
  /** The file that a test of this page runs it as; others are only compiled. */
  readonly name: string | undefined;
  readonly code: string;
}

/** Those of docs/migration are run by the tests of legacy/. */
const samples: Sample[] = [...pages]
  .filter(([name]) => /^(README\.md|docs\/[^/]+\.md)$/.test(name))
  .flatMap(([name, text]) =>
    [...text.matchAll(BLOCK)].map((match) => ({
      page: name,
      line: text.slice(0, match.index).split("\n").length,
      name: match[1],
      code: match[3] ?? "",
    })),
  );

let packed: Packed;
const running: Started[] = [];
beforeAll(async () => {
  packed = await pack();
});
afterAll(() => packed?.remove());
afterEach(() => Promise.all(running.splice(0).map((app) => app.stop())));

const sample = (name: string) => samples.find((one) => one.name === name)?.code ?? "";

/** The app of the README, which says where it listens once it does. */
function app(name: "app.mjs" | "app.cjs"): string {
  const whole = sample("app.mjs");
  const code =
    name === "app.mjs"
      ? whole
      : // CommonJS begins another way and goes on the same way.
        sample(name) + whole.slice(whole.indexOf("\nconst secret"));
  const listening = "app.listen(process.env.PORT ?? 3000";
  expect(code).toContain(`${listening});`);
  return code.replace(
    `${listening});`,
    `const server = ${listening}, () => console.log("http://127.0.0.1:" + server.address().port));`,
  );
}

/** The packages that the README says to install, and nothing else. */
const INSTALLED = { express: "express", redis: "redis" };

test.each(["app.mjs", "app.cjs"] as const)("the app of the README runs: %s", async (name) => {
  const dir = await packed.app({ [name]: app(name) }, INSTALLED);
  const env = { REDIS_URL: url, SESSION_SECRET: "a secret" };
  const server = await start(join(dir, name), env);
  running.push(server);
  const first = await fetch(`${server.url}/products/first`);
  expect(await first.json()).toEqual({ seen: ["first"] });
  const cookie = first.headers.get("set-cookie")?.split(";")[0] ?? "";
  const names = Array.from({ length: 20 }, (_, index) => `product ${index}`);
  const visit = async (id: string) => {
    const answer = await fetch(`${server.url}/products/${id}`, { headers: { cookie } });
    // Its last byte comes when the session is saved.
    return (await answer.json()) as { seen: string[] };
  };
  await Promise.all(names.map(visit));
  const { seen } = await visit("last");
  expect(seen.toSorted()).toEqual(["first", "last", ...names].toSorted());
});

test("what the page on parallel requests does instead of merging adds up", async () => {
  const [head = "", rest = ""] = app("app.mjs").split('app.get("/products/:id"');
  const samples = ["counter.mjs", "attempts.mjs", "notes.mjs", "cart.mjs"].map(sample);
  const code = [
    'import { randomUUID } from "node:crypto";',
    head,
    "app.use(express.json());",
    ...samples,
    rest.slice(rest.indexOf("const server")),
  ];
  const dir = await packed.app({ "app.mjs": code.join("\n") }, INSTALLED);
  // A database of its own: the samples count under fixed names.
  const env = { REDIS_URL: `${url}/7`, SESSION_SECRET: "a secret" };
  const server = await start(join(dir, "app.mjs"), env);
  running.push(server);
  let cookie = "";
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { cookie, "Content-Type": "application/json" };
    const json = body && JSON.stringify(body);
    const answer = await fetch(server.url + path, { method, headers, ...(json && { body: json }) });
    cookie ||= answer.headers.get("set-cookie")?.split(";")[0] ?? "";
    return { status: answer.status, text: await answer.text() };
  };
  const tenTimes = (work: (index: number) => Promise<unknown>) =>
    Promise.all(Array.from({ length: 10 }, (_, index) => work(index)));

  await ask("PUT", "/cart/0", { quantity: 1 });
  await tenTimes((index) => ask("PUT", `/cart/${index}`, { quantity: 2 }));
  await Promise.all([ask("DELETE", "/cart/0"), ask("DELETE", "/cart/1")]);
  const cart = await ask("PUT", "/cart/last", { quantity: 3 });
  expect(Object.keys(JSON.parse(cart.text) as object)).toHaveLength(9);

  await tenTimes((index) => ask("POST", "/notes", { text: `note ${index}` }));
  expect(JSON.parse((await ask("POST", "/notes", { text: "last" })).text)).toHaveLength(11);

  await tenTimes(() => ask("GET", "/article/1"));
  expect(JSON.parse((await ask("GET", "/article/1")).text)).toEqual({ views: 11 });

  const attempts = await tenTimes(() => ask("POST", "/login"));
  // Let through, to a page that is not there.
  expect(attempts).toEqual(attempts.map(() => expect.objectContaining({ status: 404 })));
  expect((await ask("POST", "/login")).status).toBe(429);
});

test("the app of the README does not start without a secret", async () => {
  const dir = await packed.app({ "app.mjs": app("app.mjs") }, INSTALLED);
  const starting = start(join(dir, "app.mjs"), { REDIS_URL: url, SESSION_SECRET: "" });
  await expect(starting).rejects.toThrow("set SESSION_SECRET");
});

/** What samples leave out: the app around them. */
const AROUND = `
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { Express, Request, Response, NextFunction } from "express";
import type { RedisStore as OurStore } from "redis-session-store";

declare module "express-session" {
  interface SessionData {
    user?: { id: string };
    seen?: Record<string, number>;
    notes?: Record<string, string>;
    cart?: Record<string, number>;
    address?: { street: string; city: string };
    role?: string;
  }
}
declare global {
  const app: Express;
  const client: ReturnType<typeof import("redis").createClient>;
  const createClient: typeof import("redis").createClient;
  const Redis: typeof import("ioredis").Redis;
  const RedisStore: typeof OurStore;
  const store: OurStore<typeof client>;
  const session: typeof import("express-session");
  const secret: string;
  const url: string;
  const server: Server;
  const req: Request;
  const res: Response;
  const next: NextFunction;
  const error: Error & { code?: string };
  const handle: string;
  const last: string | undefined;
  const randomUUID: typeof import("node:crypto").randomUUID;
  const sleep: typeof import("node:timers/promises").setTimeout;
  function disconnect(sid: string): void;
  function accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}
`;

const run = promisify(execFile);

test("every sample compiles against the package, as TypeScript", async () => {
  // A line that cannot be wrong: there are samples to compile.
  expect(samples.length).toBeGreaterThan(20);
  const modules = [
    "express",
    "redis",
    "ioredis",
    "iovalkey",
    "@valkey/valkey-glide",
    "cookie-signature",
    "redis-memory-server",
    "@types/express",
    "@types/express-session",
    "@types/node",
    "@types/cookie-signature",
  ];
  const dir = await packed.app(
    { "around.d.ts": AROUND, "package.json": '{ "type": "module" }' },
    Object.fromEntries(modules.map((name) => [name, name])),
  );
  const files = samples.map(({ page, line, name, code }) => {
    const place = `${page.replaceAll("/", "-").replace(".md", "")}-line-${line}`;
    const form = name?.endsWith(".cjs") ? "cts" : "mts";
    const isModule = /^(import|export) /m.test(code);
    return [`${place}.${form}`, isModule || form === "cts" ? code : `${code}\nexport {};\n`];
  });
  for (const [name = "", code = ""] of files) await writeFile(join(dir, name), code);
  const compilerOptions = {
    module: "nodenext",
    target: "es2023",
    lib: ["es2023"],
    types: ["node"],
    strict: true,
    // Some samples are JavaScript, whose functions declare no types.
    noImplicitAny: false,
    skipLibCheck: true,
    noEmit: true,
  };
  await writeFile(join(dir, "tsconfig.json"), JSON.stringify({ compilerOptions }));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const compiling = run(process.execPath, [tsc, "--pretty", "false"], { cwd: dir });
  const complaints = await compiling.then(
    () => "",
    ({ stdout }: { stdout: string }) => stdout,
  );
  expect(complaints).toBe("");
});

/** The rows of a table whose first cell is a name in code. */
function rows(text: string): Map<string, string[]> {
  const found = [...text.matchAll(/^\| `(\w+)` \|(.*)\|$/gm)].map(
    ([, name = "", rest = ""]) =>
      [name, rest.split(/(?<!\\)\|/).map((cell) => cell.trim())] as const,
  );
  const names = found.map(([name]) => name);
  expect(names).toEqual([...new Set(names)]);
  return new Map(found);
}

test("the page of options names each option once, with its default", async () => {
  const table = rows(page("docs/options.md"));
  expect([...table.keys()].toSorted()).toEqual([...OPTION_NAMES].toSorted());
  const client = await connect();
  const { rules, disableTTL, disableTouch, scanCount, timeout, prefix, ttl, whenDown } =
    resolveOptions({ client });
  const defaults = Object.fromEntries([...table].map(([name, [, value]]) => [name, value]));
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

test("the README names ten options, with the defaults of the page of options", () => {
  const all = rows(page("docs/options.md"));
  const table = rows(page("README.md"));
  expect(table.size).toBe(10);
  for (const [name, [value]] of table) expect([name, value]).toEqual([name, all.get(name)?.[1]]);
});

test("the page of errors names each code once", () => {
  const source = readFileSync(join(root, "lib/base/errors.ts"), "utf8");
  const codes = new Set(source.match(/ERR_[A-Z_]+/g));
  expect([...rows(page("docs/errors.md")).keys()].toSorted()).toEqual([...codes].toSorted());
});

test("no page names an error code that there is not", () => {
  const codes = rows(page("docs/errors.md"));
  for (const [name, text] of pages) {
    const strangers = (text.match(/ERR_[A-Z_]+/g) ?? []).filter((code) => !codes.has(code));
    expect([name, strangers]).toEqual([name, []]);
  }
});

/** The places of a page that a link can lead to, as GitHub names them. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\w\- ]/g, "")
      .replaceAll(" ", "-"),
  );
}

test("every link of a page leads to a file, and to a place that is there", () => {
  const broken = [...pages].flatMap(([name, text]) =>
    [...text.replace(/^```.*?^```$/gms, "").matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target = ""]) => target)
      .filter((target) => {
        if (/^https?:/.test(target)) return false;
        const [path = "", place] = target.split("#");
        const file = path === "" ? name : relative(root, resolve(root, dirname(name), path));
        if (!existsSync(join(root, file))) return true;
        return place !== undefined && !anchors(page(file)).includes(place);
      })
      .map((target) => `${name}: ${target}`),
  );
  expect(broken).toEqual([]);
});

test("the changelog says nothing twice", () => {
  const entries = page("CHANGELOG.md").match(/^- .*$/gm) ?? [];
  expect(entries.length).toBeGreaterThan(10);
  expect(entries).toEqual([...new Set(entries)]);
});

test("every npm script that a page names is there", () => {
  const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  };
  const strangers = [...pages].flatMap(([name, text]) =>
    [...text.matchAll(/\bnpm run (?:-\S+ )*([\w:]+)/g)]
      .filter(([, script = ""]) => !(script in scripts))
      .map(([command]) => `${name}: ${command}`),
  );
  expect(strangers).toEqual([]);
});

test("every page of docs/ is linked from docs/README.md", () => {
  const linked = new Set(
    [...page("docs/README.md").matchAll(/\]\(([^)\s#]+)\)/g)].map(([, to]) => to),
  );
  const own = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
  expect(own.filter((name) => name !== "README.md" && !linked.has(name))).toEqual([]);
});

test("the picture of the architecture shows every wing of lib", () => {
  const picture = readFileSync(join(root, "docs/architecture.svg"), "utf8");
  const rooms = readdirSync(join(root, "lib"), { withFileTypes: true }).map((one) =>
    one.isDirectory() ? `${one.name}/` : one.name,
  );
  expect(rooms.filter((room) => !new RegExp(`[>;\\s]${room}[<\\s]`).test(picture))).toEqual([]);
});

test("the README has at most 150 lines and 1,200 words", () => {
  const text = page("README.md");
  expect(text.trimEnd().split("\n").length).toBeLessThanOrEqual(150);
  expect(text.split(/\s+/).length).toBeLessThanOrEqual(1200);
});
