// What becomes of two requests at once under one middleware:
// node middleware-apps.js <module of the library> <its module of tokens> <address of Redis> <prefix> <middleware>
// Prints, as docs/middleware.md says it, what became of parallel changes, and of a slow request after a
// logout.

import { once } from "node:events";
import { createServer } from "node:http";
import { createClient } from "redis";

const [, , library = "", tokens = "", url = "", prefix = "", name = ""] = process.argv;
const { RedisStore } = /** @type {typeof import("../../lib/index.js")} */ (await import(library));
const { bearerToken, readSession } = /** @type {typeof import("../../lib/bearer/bearer.js")} */ (
  await import(tokens)
);

const client = createClient({ url });
await client.connect();
const store = new RedisStore({ client, prefix });
const secret = "a secret with at least thirty-two characters";
const options = { store, secret, resave: false, saveUninitialized: false };

/** The slow request has its session. @type {() => void} */
let onLoaded;
/** Lets the slow request go on. @type {() => void} */
let goOn = () => {};
/** @type {Promise<void>} */
let gate;

/**
 * What each request does, by its path: to be slow, to log out, or else to set a key of that name.
 *
 * @param {string} path
 * @param {object} session
 * @param {() => unknown} end
 */
async function work(path, session, end) {
  const key = path.slice(1);
  if (key === "logout") {
    await end();
    return;
  }
  if (key === "slow") {
    onLoaded();
    await gate;
  }
  Object.assign(session, { [key]: 1 });
}

/** @typedef {(path: string, credential: string) => Promise<string>} Ask the credential to go on with */

/** @param {import("node:http").Server} server */
async function listening(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
}

/** A browser. @param {string} base @returns {Ask} */
const byCookie = (base) => async (path, cookie) => {
  const response = await fetch(base + path, { headers: { cookie } });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  await response.arrayBuffer();
  return (
    response.headers
      .getSetCookie()
      .map((set) => set.split(";")[0])
      .at(-1) || cookie
  );
};

/** @param {import("express-session").Session} session */
const ended = (session) => new Promise((done) => session.destroy(done));

async function expressApp() {
  const { default: express } = await import("express");
  const { default: session } = await import("express-session");
  return { express, app: express(), withSession: session(options) };
}

/** @type {import("express").RequestHandler} */
const handle = async (req, res) => {
  await work(req.path, req.session, () => ended(req.session));
  res.end();
};

/** @type {Record<string, () => Promise<Ask>>} */
const APPS = {
  async express() {
    const { app, withSession } = await expressApp();
    app.use(withSession, handle);
    return byCookie(await listening(createServer(app)));
  },

  async http() {
    const { withSession } = await expressApp();
    const server = createServer((req, res) => {
      const request = /** @type {import("express").Request} */ (req);
      withSession(request, /** @type {import("express").Response} */ (res), async () => {
        await work(req.url ?? "", request.session, () => ended(request.session));
        res.end();
      });
    });
    return byCookie(await listening(server));
  },

  async passport() {
    const { app, withSession } = await expressApp();
    const { default: passport } = await import("passport");
    passport.serializeUser((_user, done) => done(null, "ada"));
    passport.deserializeUser((_id, done) => done(null, { id: "ada" }));
    app.use(withSession, passport.session());
    app.get("/start", (req, _res, next) => {
      req.logIn({ id: "ada" }, (error) => (error ? next(error) : next()));
    });
    app.use(async (req, res) => {
      await work(req.path, req.session, () => new Promise((done) => req.logOut(() => done(0))));
      res.end();
    });
    return byCookie(await listening(createServer(app)));
  },

  async nestjs() {
    await import("reflect-metadata");
    const { Module } = await import("@nestjs/common");
    const { NestFactory } = await import("@nestjs/core");
    const { withSession } = await expressApp();
    class AppModule {}
    Module({})(AppModule);
    const app = await NestFactory.create(AppModule, { logger: ["error"] });
    app.use(withSession, handle);
    await app.listen(0, "127.0.0.1");
    return byCookie(await app.getUrl());
  },

  async "socket.io"() {
    const { app, withSession } = await expressApp();
    const { Server } = await import("socket.io");
    const { io } = await import("socket.io-client");
    app.use(withSession, handle);
    const server = createServer(app);
    const sockets = new Server(server);
    sockets.engine.use(withSession);
    sockets.on("connection", (socket) => {
      const req = /** @type {import("express").Request} */ (socket.request);
      socket.on("slow", (answer) => {
        req.session.reload(async () => {
          await work("/slow", req.session, () => {});
          req.session.save(answer);
        });
      });
    });
    const base = await listening(server);
    const ask = byCookie(base);
    return async (path, cookie) => {
      if (path !== "/slow") return ask(path, cookie);
      const socket = io(base, { extraHeaders: { cookie }, reconnection: false });
      await socket.emitWithAck("slow");
      socket.disconnect();
      return cookie;
    };
  },

  async readSession() {
    const { app, withSession } = await expressApp();
    app.use("/slow", async (req, res) => {
      const own = await readSession(req, { secret, store });
      if (own === null) throw new Error("there is no session");
      await work("/slow", own, () => {});
      await new Promise((done) => own.save(done));
      res.end();
    });
    app.use(withSession, handle);
    return byCookie(await listening(createServer(app)));
  },

  async bearerToken() {
    const { app, withSession } = await expressApp();
    app.use(bearerToken({ secret }), withSession);
    app.use(async (req, res) => {
      await work(req.path, req.session, () => ended(req.session));
      res.send(req.sessionToken);
    });
    const base = await listening(createServer(app));
    return async (path, token) => {
      const headers = token === "" ? {} : { Authorization: `Bearer ${token}` };
      const answer = await (await fetch(base + path, { headers })).text();
      return answer || token;
    };
  },

  async "@fastify/session"() {
    const { default: cookie } = await import("@fastify/cookie");
    const { default: sessions } = await import("@fastify/session");
    const { default: fastify } = await import("fastify");
    const app = fastify();
    await app.register(cookie);
    await app.register(sessions, {
      store: /** @type {any} */ (store),
      secret,
      saveUninitialized: false,
      cookie: { secure: false },
    });
    app.get("/*", async (req) => {
      await work(req.url, req.session, () => req.session.destroy());
      return "";
    });
    return byCookie(await app.listen({ port: 0, host: "127.0.0.1" }));
  },

  async "koa-session"() {
    const { default: Koa } = await import("koa");
    const { createSession } = await import("koa-session");
    const app = new Koa();
    app.keys = [secret];
    app.use(createSession({ store: /** @type {any} */ (store), renew: false, signed: false }, app));
    app.use(async (ctx) => {
      await work(ctx.path, /** @type {any} */ (ctx).session, () => {
        /** @type {any} */ (ctx).session = null;
      });
      ctx.body = "";
    });
    return byCookie(await listening(createServer(app.callback())));
  },

  async "express-openid-connect"() {
    const { app } = await expressApp();
    const { default: oidc } = await import("express-openid-connect");
    const server = createServer(app);
    const base = await listening(server);
    app.use(
      oidc.auth({
        issuerBaseURL: "https://issuer.example",
        baseURL: base,
        clientID: "app",
        secret,
        authRequired: false,
        routes: { login: false, logout: false, callback: false },
        session: { store: /** @type {any} */ (store) },
      }),
    );
    app.use(
      /** @type {import("express").RequestHandler} */
      async (/** @type {any} */ req, res) => {
        req.appSession ??= {};
        await work(req.path, req.appSession, () => {
          req.appSession = undefined;
        });
        res.end();
      },
    );
    return byCookie(base);
  },
};

/** Two requests at once: `other` while the slow one is under way. @param {Ask} ask @param {string} other */
async function together(ask, other) {
  await store.clear();
  const credential = await ask("/start", "");
  /** @type {Promise<void>} */
  const loaded = new Promise((resolve) => {
    onLoaded = resolve;
  });
  gate = new Promise((resolve) => {
    goOn = resolve;
  });
  const slow = ask("/slow", credential);
  await Promise.race([loaded, slow]);
  await ask(other, credential);
  goOn();
  await slow;
  const text = JSON.stringify(await store.all());
  return (/** @type {string} */ key) => text.includes(`"${key}":1`);
}

const ask = await /** @type {() => Promise<Ask>} */ (APPS[name])();
const after = await together(ask, "/fast");
if (!after("start") || !after("slow")) throw new Error(`${name}: the slow request was not saved`);
const parallel = after("fast") ? "both kept" : "the last writer wins";
const isBack = (await together(ask, "/logout"))("slow");
console.log(JSON.stringify([parallel, isBack ? "brings the session back" : "not written"]));
process.exit();
