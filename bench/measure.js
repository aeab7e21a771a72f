import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collectGarbage = /** @type {() => void} */ (runInNewContext("gc"));

/** @typedef {(error?: unknown, result?: unknown) => void} Done */

/**
 * One kind of operation by one contender, in batches: `prepare` is not timed and returns the
 * operation of which the batch then runs `size`.
 *
 * @typedef {object} Work
 * @property {() => Promise<(index: number, done: Done) => void>} prepare
 * @property {number} size operations in a batch
 */

/**
 * Runs an operation `size` times, `concurrency` at a time. An operation may call back at once.
 *
 * @param {number} size
 * @param {number} concurrency
 * @param {(index: number, done: Done) => void} operation
 * @returns {Promise<void>}
 */
function drive(size, concurrency, operation) {
  return new Promise((resolve, reject) => {
    let started = 0;
    let finished = 0;
    let free = concurrency;
    let starting = false;
    /** @type {Done} */
    const done = (error) => {
      if (error) return reject(error);
      free++;
      if (++finished === size) resolve();
      else start();
    };
    // A loop and not a recursion: ten thousand operations that call back at once must not fill the stack.
    const start = () => {
      if (starting) return;
      starting = true;
      while (free > 0 && started < size) {
        free--;
        operation(started++, done);
      }
      starting = false;
    };
    start();
  });
}

/**
 * What one operation takes, in µs: `batches` batches, the heap cleaned before the first. To clean it
 * throws away what the engine has learned of the code; an app learns that once, and so do the rounds
 * of a bench. What the operations leave to be collected counts.
 *
 * @param {Work} work
 * @param {{ batches: number, concurrency: number, by?: "clock" | "cpu" }} load `cpu`: not how long it
 *   takes but the time of all processors in this process; whoever else is busy hardly changes it
 * @param {{ start(): Promise<void>, stop(): Promise<void> }} [counter] looks at what the operations do to the server
 */
export async function time({ prepare, size }, { batches, concurrency, by = "clock" }, counter) {
  const now = by === "clock" ? clockNow : cpuNow;
  let spent = 0;
  for (let batch = 0; batch < batches; batch++) {
    const operation = await prepare();
    await counter?.start();
    if (batch === 0) collectGarbage();
    const begin = now();
    await drive(size, concurrency, operation);
    spent += now() - begin;
    await counter?.stop();
  }
  return spent / (batches * size);
}

/** In µs. */
const clockNow = () => performance.now() * 1000;

/** In µs. */
function cpuNow() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * @typedef {object} Spread
 * @property {number} median
 * @property {number} min
 * @property {number} max
 */

/** @param {number[]} values @returns {Spread} */
export function spread(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const low = /** @type {number} */ (sorted[Math.floor(middle)]);
  const high = /** @type {number} */ (sorted[Math.ceil(middle)]);
  return {
    median: (low + high) / 2,
    min: /** @type {number} */ (sorted[0]),
    max: /** @type {number} */ (sorted.at(-1)),
  };
}

/**
 * The contenders in the order of a round: each round starts with another one, and every other
 * round goes backwards, so that none always follows the same one.
 *
 * @template T
 * @param {readonly T[]} contenders
 * @param {number} round
 * @returns {T[]}
 */
export function alternate(contenders, round) {
  const shift = round % contenders.length;
  const order = [...contenders.slice(shift), ...contenders.slice(0, shift)];
  return Math.floor(round / contenders.length) % 2 === 0 ? order : order.reverse();
}
