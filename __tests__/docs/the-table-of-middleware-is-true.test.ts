import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Build, build } from "../support/build.js";
import { freshPrefix, url } from "../support/store.js";

const run = promisify(execFile);

/** What stands in the first cell of a line of docs/middleware.md, and the apps that it is about. */
const APPS: [line: string, apps: string[]][] = [
  ["express-session, with Express, connect or plain `http`", ["express", "http"]],
  ["passport, connect-flash, csrf-sync: what works on `req.session`", ["passport"]],
  ["NestJS with express-session", ["nestjs"]],
  ["Socket.IO with express-session as `io.engine.use`", ["socket.io"]],
  ["`readSession` and `bearerToken` of this package", ["readSession", "bearerToken"]],
  ["@fastify/session", ["@fastify/session"]],
  ["koa-session", ["koa-session"]],
  ["express-openid-connect", ["express-openid-connect"]],
];

const page = readFileSync(resolve(__dirname, "../../docs/middleware.md"), "utf8");
const lines = [...page.matchAll(/^\| (?!middleware|-)(.*?) \| (.*?) \| (.*?) \|$/gm)];

let built: Build;
beforeAll(async () => {
  built = await build();
});
afterAll(() => built?.remove());

test("each line of the table is tested", () => {
  expect(lines.map(([, middleware]) => middleware)).toEqual(APPS.map(([line]) => line));
});

test.each(APPS.flatMap(([line, apps]) => apps.map((app) => [app, line] as const)))(
  "%s gets the promise of its line",
  async (app, line) => {
    const [, , parallel = "", logout = ""] = lines.find(([, name]) => name === line) ?? [];
    const script = resolve(__dirname, "../support/middleware-apps.js");
    const modules = ["index.js", "bearer/bearer.js"].map((name) => join(built.dir, name));
    const args = [script, ...modules, url, freshPrefix(), app];
    const { stdout } = await run(process.execPath, args, { timeout: 60_000 });
    const [kept, after] = JSON.parse(stdout) as [string, string];
    // What is said behind it are conditions.
    expect(parallel.startsWith(kept)).toBe(true);
    expect(after).toBe(logout);
  },
);
