import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { CONTENDERS, connect } from "./contenders.js";
import { countSent, fillHot } from "./hot.js";
import { time } from "./measure.js";
import { OPERATIONS, oneByOne, sizeFor } from "./operations.js";
import { serve } from "./processes.js";
import { HOT } from "./sessions.js";

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
/** @type {Map<string, import("./measure.js").Work>} */
const works = new Map();

serve(async (/** @type {Request} */ request) => {
  if (request.do === "fill") {
    await fillHot(contender, request.maxAge, name.endsWith("cache"));
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
  if (request.do === "commands") return countSent(client, await work.prepare());
  if (request.do === "sealings") return sealings(await work.prepare());
  return oneByOne(request.count, await work.prepare());
});

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
