import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { setTimeout as delay, setImmediate as immediate } from "node:timers/promises";
import { asPromise, CONTENDERS, connect, fill } from "./contenders.js";
import { time } from "./measure.js";
import { OPERATIONS, oneByOne, sizeFor } from "./operations.js";
import { serve } from "./processes.js";
import { HOT, sids } from "./sessions.js";

/**
 * One contender in a process of its own.
 *
 * @typedef {{ do: "fill", maxAge: number | null }
 *   | { do: "time", operation: import("./operations.js").OperationName, maxAge: number | null, batches: number, concurrency: number, by?: "clock" | "cpu" }
 *   | { do: "commands", operation: import("./operations.js").OperationName, maxAge: number | null }
 *   | { do: "sealings", operation: import("./operations.js").OperationName, maxAge: number | null }
 *   | { do: "latencies", operation: import("./operations.js").OperationName, maxAge: number | null, count: number }} Request
 */

const [name, url] = /** @type {[import("./contenders.js").Name, string]} */ (process.argv.slice(2));
const client = await connect(url);
const contender = CONTENDERS[name](client);
const isCached = name.endsWith("cache");
/** @type {Map<string, import("./measure.js").Work>} */
const works = new Map();

serve(async (/** @type {Request} */ request) => {
  if (request.do === "fill") {
    await fill(contender, request.maxAge);
    do {
      await Promise.all(sids.map((sid) => asPromise((done) => contender.read(sid, done))));
      // The cache is on when it has its connection.
      if (isCached) await delay(5);
    } while (isCached && !(await isHot()));
    return;
  }
  const { operation, maxAge } = request;
  // The same functions in each round, as in an app.
  const key = `${operation} ${maxAge}`;
  const work = works.get(key) ?? {
    size: sizeFor(name),
    prepare: OPERATIONS[operation](contender, maxAge),
  };
  works.set(key, work);
  if (request.do === "time") return time(work, request);
  if (request.do === "commands") return commands(await work.prepare());
  if (request.do === "sealings") return sealings(await work.prepare());
  return oneByOne(request.count, await work.prepare());
});

/** How many commands one operation sends. @param {Awaited<ReturnType<import("./measure.js").Work["prepare"]>>} operation */
async function commands(operation) {
  let sent = 0;
  const send = client.sendCommand.bind(client);
  client.sendCommand = /** @type {typeof send} */ (
    (/** @type {Parameters<typeof send>} */ ...args) => {
      sent++;
      return send(...args);
    }
  );
  await oneByOne(HOT, operation);
  Reflect.deleteProperty(client, "sendCommand");
  return sent / HOT;
}

/** How often one operation opens and seals a session. @param {Awaited<ReturnType<import("./measure.js").Work["prepare"]>>} operation */
async function sealings(operation) {
  const { createCipheriv, createDecipheriv } = crypto;
  const counted = { opened: 0, sealed: 0 };
  crypto.createDecipheriv = /** @type {typeof createDecipheriv} */ (
    (/** @type {Parameters<typeof createDecipheriv>} */ ...args) => {
      counted.opened++;
      return createDecipheriv(...args);
    }
  );
  crypto.createCipheriv = /** @type {typeof createCipheriv} */ (
    (/** @type {Parameters<typeof createCipheriv>} */ ...args) => {
      counted.sealed++;
      return createCipheriv(...args);
    }
  );
  syncBuiltinESMExports();
  await oneByOne(HOT, operation);
  Object.assign(crypto, { createCipheriv, createDecipheriv });
  syncBuiltinESMExports();
  return { opened: counted.opened / HOT, sealed: counted.sealed / HOT };
}

/** Whether all hot sessions come from memory: then they are there at the end of the turn, before any answer of Redis. */
async function isHot() {
  let answered = 0;
  for (const sid of sids) contender.get(sid, () => answered++);
  await immediate();
  return answered === HOT;
}
