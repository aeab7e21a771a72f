import { type Build, build } from "../support/build.js";
import { freshPrefix, url } from "../support/store.js";

let built: Build;
beforeAll(async () => {
  built = await build();
});
afterAll(() => built?.remove());

test("what a handler of @fastify/session sets is set, and what it deletes is gone", async () => {
  // In a process of its own: @fastify/cookie imports in a way that jest does not support.
  const seen = await built.run(`
    import cookie from "@fastify/cookie";
    import session from "@fastify/session";
    import fastify from "fastify";
    import { createClient } from "redis";
    import { RedisStore } from "./index.js";

    const client = createClient({ url: ${JSON.stringify(url)} });
    await client.connect();
    const store = new RedisStore({ client, prefix: ${JSON.stringify(freshPrefix())} });
    const secret = "a secret with at least thirty-two characters";
    const app = fastify();
    await app.register(cookie);
    await app.register(session, {
      store, secret, saveUninitialized: false, cookie: { secure: false, maxAge: 60_000 },
    });
    app.get("/set/:key/:value", async ({ session, params }) => {
      session[params.key] = params.value;
      return {};
    });
    app.get("/delete/:key", async ({ session, params }) => {
      delete session[params.key];
      return {};
    });
    app.get("/", async ({ session: { cookie, ...own } }) => own);

    const [{ name, value }] = (await app.inject("/set/a/1")).cookies;
    const get = async (url) => (await app.inject({ url, cookies: { [name]: value } })).json();
    await get("/set/b/2");
    await get("/set/a/3");
    const before = await get("/");
    await get("/delete/a");
    console.log(JSON.stringify([before, await get("/")]));
    await app.close();
    client.destroy();
  `);
  expect(seen).toEqual([{ a: "3", b: "2" }, { b: "2" }]);
});

// docs/middleware.md and examples/neighbours/fastify.js say so.
test("a handler that returns its reply saves once; one that does not saves twice, and its error is thrown", async () => {
  const seen = await built.run(`
    import cookie from "@fastify/cookie";
    import session from "@fastify/session";
    import fastify from "fastify";
    import { createClient } from "redis";
    import { RedisStore } from "./index.js";

    const client = createClient({ url: ${JSON.stringify(url)} });
    await client.connect();
    const store = new RedisStore({ client, prefix: ${JSON.stringify(freshPrefix())} });
    let saves = 0;
    const { set } = store;
    store.set = (...args) => {
      saves++;
      return set.apply(store, args);
    };
    const secret = "a secret with at least thirty-two characters";
    const app = fastify();
    await app.register(cookie);
    await app.register(session, { store, secret, saveUninitialized: false, cookie: { secure: false } });
    app.get("/returns", async ({ session }, reply) => {
      session.n = 1;
      return reply.send("x");
    });
    app.get("/forgets", async ({ session }, reply) => {
      session.n = 1;
      reply.send("x");
    });
    const address = await app.listen({ port: 0, host: "127.0.0.1" });
    await (await fetch(address + "/returns")).text();
    const once = saves;
    const thrown = new Promise((resolve) => process.once("uncaughtException", resolve));
    await (await fetch(address + "/forgets")).text();
    const { code } = await thrown;
    console.log(JSON.stringify([once, saves - once, code]));
    process.exit();
  `);
  expect(seen).toEqual([1, 2, "ERR_HTTP_HEADERS_SENT"]);
});
