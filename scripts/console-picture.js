// Makes docs/console.png, the picture of the console: after a change of its overview.
//
//   npm run build && node scripts/console-picture.js

import { once } from "node:events";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { createClient } from "redis";
import { CHROMIUM, CHROMIUM_ARGS } from "../tools/chromium.js";
import { startRedis } from "../tools/redis-server.js";
import { randomOf } from "./fuzz-input.js";

const built = (/** @type {string} */ file) => import(`../dist/esm/${file}`);
/** @type {typeof import("../lib/index.js")} */
const { RedisStore } = await built("index.js");
/** @type {typeof import("../lib/console/index.js")} */
const { sessionConsole } = await built("console/index.js");

const DAY = 86_400_000;
const USERS = ["ada", "grace", "edsger", "barbara", "donald", "karen", "alan", "margaret"];

const redis = await startRedis({ args: ["--maxmemory", "64mb"] });
const client = createClient({ url: redis.url });
await client.connect();
const userId = (/** @type {object} */ session) => /** @type {{ user?: string }} */ (session).user;
const store = new RedisStore({ client, userId, absoluteTtl: 60 * 86_400 });
const random = randomOf(1);
const { now } = Date;
for (let index = 0; index < 600; index++) {
  const age = Math.floor(30 * DAY * random() ** 3);
  const life = Math.floor(14 * DAY * random() ** 2) + 60_000;
  const user = index % 3 === 0 ? {} : { user: `${USERS[Math.floor(random() * 8)]}` };
  // Each began when it did.
  Date.now = () => now() - age;
  const cookie = { originalMaxAge: life, expires: new Date(Date.now() + life) };
  const cart = "x".repeat(Math.floor(30_000 * random() ** 6));
  await store.set(`sid ${index}`, /** @type {never} */ ({ cookie, ...user, cart }));
}
Date.now = now;
const server = createServer(
  sessionConsole({ store, userId, authorize: () => ({ role: "write", actor: "grace" }) }),
).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
const browser = await chromium.launch({ executablePath: CHROMIUM ?? "", args: CHROMIUM_ARGS });
const page = await browser.newPage({ viewport: { width: 960, height: 600 } });
await page.goto(`http://127.0.0.1:${port}/`);
const path = fileURLToPath(new URL("../docs/console.png", import.meta.url));
await page.screenshot({ path, fullPage: true });
await browser.close();
server.close();
await client.close();
await redis.stop();
console.log(`written to ${path}`);
