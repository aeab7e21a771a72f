import { setTimeout as delay } from "node:timers/promises";
import { asPromise, CONTENDERS, connect, fill } from "./contenders.js";
import { time } from "./measure.js";
import { OPERATIONS, oneByOne, sizeFor } from "./operations.js";
import { serve } from "./processes.js";
import { HOT, sids } from "./sessions.js";

/**
 * One contender in a process of its own.
 *
 * @typedef {{ do: "fill", maxAge: number | null }
 *   | { do: "time", operation: import("./operations.js").OperationName, maxAge: number | null, batches: number, concurrency: number }
 *   | { do: "latencies", operation: import("./operations.js").OperationName, maxAge: number | null, count: number }} Request
 */

const [name, url] = /** @type {[import("./contenders.js").Name, string]} */ (process.argv.slice(2));
const contender = CONTENDERS[name](await connect(url));
/** @type {Map<string, import("./measure.js").Work>} */
const works = new Map();

serve(async (/** @type {Request} */ request) => {
  if (request.do === "fill") {
    await fill(contender, request.maxAge);
    do {
      await Promise.all(sids.map((sid) => asPromise((done) => contender.read(sid, done))));
      // The cache is on when it has its connection.
      if (name === "ours with cache") await delay(5);
    } while (name === "ours with cache" && !isHot());
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
  return oneByOne(request.count, await work.prepare());
});

/** Whether all hot sessions come from memory. */
function isHot() {
  let answered = 0;
  for (const sid of sids) contender.get(sid, () => answered++);
  return answered === HOT;
}
