import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { type Build, build } from "../support/build.js";

// What an outage leaves behind in the process of the app: nothing.

/** How each client is made and closed, as code of an ES module; `port` is the server's. */
const clients: [string, string][] = [
  [
    "redis 6",
    `import { createClient } from "redis";
     const client = createClient({ socket: { port } });
     client.on("error", () => {});
     await client.connect();
     const close = () => client.destroy();
     const options = { cache: { max: 10 }, whenDown: "bypass" };`,
  ],
  [
    "redis 4",
    `import { createClient } from "redis4";
     const client = createClient({ socket: { port } });
     client.on("error", () => {});
     await client.connect();
     const close = () => client.disconnect().catch(() => {});
     const options = {};`,
  ],
  [
    "ioredis 6",
    `import { Redis } from "ioredis";
     const client = new Redis({ port });
     client.on("error", () => {});
     const close = () => client.disconnect();
     const options = {};`,
  ],
  [
    "valkey-glide",
    `import { GlideClient, Logger } from "@valkey/valkey-glide";
     Logger.setLoggerConfig("off");
     const client = await GlideClient.createClient({ addresses: [{ host: "127.0.0.1", port }] });
     const close = () => client.close();
     const options = {};`,
  ],
];

interface Result {
  readonly warnings: string[];
  /** Listeners on the client that were not there before. */
  readonly listeners: number;
  readonly codes: string[];
}

let built: Build;
let server: RedisServer;
beforeAll(async () => {
  [built, server] = await Promise.all([build(), startRedis()]);
});
afterEach(() => {
  server.kill("SIGCONT");
});
afterAll(async () => {
  await server.stop();
  await built.remove();
});

test.each(clients)(
  "%s: no unhandled rejection, no warning, no listener left, and the process ends by itself",
  async (_, create) => {
    // An uncaught error or a rejection that nobody handles ends it with an error code.
    const { warnings, listeners, codes } = await built.run<Result>(`
    import { setTimeout as delay } from "node:timers/promises";
    import { errorMonitor } from "node:events";
    import { RedisStore } from "./index.js";
    const warnings = [];
    process.on("warning", (warning) => warnings.push(String(warning)));
    const port = ${server.port};
    ${create}
    const count = () => client.listenerCount
      ? [...client.eventNames()].reduce((sum, name) => sum + client.listenerCount(name), 0)
      : 0;
    const before = count();
    const stores = Array.from({ length: 3 }, (_, n) =>
      new RedisStore({ client, prefix: "process:" + n + ":", timeout: 200, ...options }));
    const codes = new Set();
    const note = (error) => codes.add(error ? error.code : "none");
    const ask = (sid) => {
      const session = { cookie: { originalMaxAge: null }, n: Math.random() };
      for (const store of stores) {
        store.get(sid, note);
        store.set(sid, session, note);
        store.touch(sid, session, note);
        store.ids().then(() => {}, note);
      }
    };
    const wellAgain = async () => {
      while (!(await Promise.all(stores.map((store) => store.get("x").then(() => true, () => false)))).every(Boolean)) await delay(20);
    };
    for (const round of [1, 2]) {
      process.kill(${server.pid}, "SIGSTOP");
      for (let n = 0; n < 30; n++) { ask("sid"); await delay(15); }
      process.kill(${server.pid}, "SIGCONT");
      await wellAgain();
      await stores[0].get("x");
    }
    ask("sid");
    await delay(300);
    const listeners = count() - before;
    // Closed in the middle of an outage, with questions open.
    process.kill(${server.pid}, "SIGSTOP");
    ask("last");
    await delay(250);
    ask("last");
    for (const store of stores) await store.close();
    await close();
    process.kill(${server.pid}, "SIGCONT");
    process.on("exit", () => {
      console.log(JSON.stringify({ warnings, listeners, codes: [...codes] }));
    });
  `);
    expect(warnings).toEqual([]);
    // The cache watches the client whose connection it copies; nothing else stays.
    expect(listeners).toBeLessThanOrEqual(3 * 2);
    expect(codes).toEqual(expect.arrayContaining(["none", "ERR_TIMEOUT", "ERR_UNAVAILABLE"]));
  },
);
