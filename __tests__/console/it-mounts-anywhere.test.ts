import { request } from "node:http";
import connectApp from "connect";
import express from "express";
import { sessionConsole } from "../../lib/console/index.js";
import type { RedisStore } from "../../lib/index.js";
import { ask, formOf, linksTo, openConsole, send, serve } from "../support/console.js";
import { type Server, startServer } from "../support/servers.js";
import { connect, makeStore, sessionOf, type TestClient } from "../support/store.js";

/** Its types are those of Express 5 as far as a handler is concerned. */
const express4: typeof express = jest.requireActual("express4");

let client: TestClient;
let store: RedisStore<TestClient>;
let server: Server;
beforeAll(async () => {
  // Its own: a page of a server that others use may be empty.
  server = await startServer();
  client = await connect(6, server.url);
});
afterAll(() => server.stop());
beforeEach(async () => {
  store = makeStore(client, { userId: (session) => (session as { user?: string }).user });
  await store.set("one", sessionOf({ user: "ada" }));
  await store.set("two", sessionOf({ user: "ada" }));
});
afterEach(() => store.clear());

const handler = (of: RedisStore<TestClient> = store) =>
  sessionConsole({ store: of, authorize: () => ({ role: "write", actor: "grace" }) });

/** As a browser does it: from the overview over the list to a session and its end, by links alone. */
async function walk(start: string): Promise<void> {
  const go = async (from: string, link: string) => {
    const url = `${from.replace(/\?.*/, "")}${link}`;
    const { status, body } = await ask(url);
    expect([url, status]).toEqual([url, 200]);
    return { url, body };
  };
  const overview = await go(start, "");
  for (const [, link = ""] of overview.body.matchAll(/<link [^>]*href="([^"]*)"/g))
    await go(start, link);
  const [list = ""] = linksTo("list", overview.body);
  const listed = await go(overview.url, list);
  const [one = ""] = linksTo("session", listed.body);
  const session = await go(listed.url, one);
  const { status, headers } = await send(`${start}?`, formOf("End this session", session.body));
  expect(status).toBe(303);
  expect((await go(session.url, String(headers.location))).body).toContain("1 session ended.");
  expect(await store.length()).toBe(1);
}

test.each([
  ["Express 5", () => express().use("/admin/sessions", handler())],
  ["Express 4", () => express4().use("/admin/sessions", handler())],
  ["connect", () => connectApp().use("/admin/sessions", handler())],
  [
    "node:http",
    () => {
      const show = handler();
      return (...[req, res]: Parameters<typeof show>) => {
        if (/^\/admin\/sessions(\/|\?|$)/.test(req.url ?? "")) show(req, res);
        else res.writeHead(404).end();
      };
    },
  ],
])("%s, under a path, with a slash at its end and without", async (_, make) => {
  const url = await serve(make() as Parameters<typeof serve>[0]);
  await walk(`${url}/admin/sessions`);
  await store.set("one", sessionOf({ user: "ada" }));
  await store.set("two", sessionOf({ user: "ada" }));
  await store.destroy("one");
  await store.set("three", sessionOf({ user: "ada" }));
  await walk(`${url}/admin/sessions/`);
  expect((await ask(url)).status).toBe(404);
});

test("behind a proxy with a prefix", async () => {
  const app = express().use("/admin", handler());
  const { port } = new URL(await serve(app));
  const url = await serve((req, res) => {
    const path = (req.url ?? "").replace(/^\/tools\/redis/, "/admin");
    const to = { port, host: "127.0.0.1", path, method: req.method, headers: req.headers };
    req.pipe(
      request(to, (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(res);
      }),
    );
  });
  await walk(`${url}/tools/redis`);
});

test("twice in one app, each with its own sessions and names", async () => {
  const other = makeStore(client);
  await other.set("three", sessionOf({ user: "bob" }));
  const app = express().use("/a", handler()).use("/b", handler(other));
  const url = await serve(app);
  const [a = ""] = linksTo("session", (await ask(`${url}/a?at=list`)).body);
  const [b = "", ...more] = linksTo("session", (await ask(`${url}/b?at=list`)).body);
  expect(more).toEqual([]);
  expect((await ask(`${url}/a${a}`)).status).toBe(200);
  expect((await ask(`${url}/b${b}`)).status).toBe(200);
  expect((await ask(`${url}/a${b}`)).status).toBe(410);
  expect((await ask(`${url}/b${a}`)).status).toBe(410);
  await walk(`${url}/a`);
  expect(await other.length()).toBe(1);
  await other.clear();
});

test.each([
  "/../../etc/passwd",
  "/%2e%2e/%2e%2e/x",
  "//evil.example/",
  "/.%00/?at=../list",
  "/\\..\\",
])("a path with dots leads nowhere: %s", async (path) => {
  const { url } = await openConsole(store);
  const { status, headers, body } = await ask(url.slice(0, -1) + path);
  expect([200, 404]).toContain(status);
  expect(headers.location).toBeUndefined();
  expect(body).not.toMatch(/evil|passwd|root:/);
});

test("HEAD has the headers of GET and nothing else", async () => {
  const { url } = await openConsole(store);
  const { status, headers, body } = await ask(url, { method: "HEAD" });
  expect([status, body]).toEqual([200, ""]);
  expect(headers["content-type"]).toBe("text/html; charset=utf-8");
});
