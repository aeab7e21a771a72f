import { connect, createServer } from "node:net";
import { serve } from "./processes.js";

/**
 * A Redis that is farther away: a process that passes everything on, each way after half of the
 * round trip. Timers of Node count whole milliseconds; so it looks again and again while something
 * is under way.
 */

const [target, roundTrip] = /** @type {[number, number]} */ (
  /** @type {unknown} */ (process.argv.slice(2).map(Number))
);

/** @type {{ due: number, pass: () => void }[]} */
const under = [];

function look() {
  while (under[0] !== undefined && under[0].due <= performance.now()) under.shift()?.pass();
  if (under.length > 0) setImmediate(look);
}

/** @param {import("node:net").Socket} from @param {import("node:net").Socket} to */
function pass(from, to) {
  from.setNoDelay();
  from.on("error", () => {});
  from.on("close", () => to.destroy());
  from.on("data", (chunk) => {
    under.push({ due: performance.now() + roundTrip / 2, pass: () => to.write(chunk) });
    if (under.length === 1) setImmediate(look);
  });
}

const server = createServer((client) => {
  const redis = connect({ host: "127.0.0.1", port: target });
  pass(client, redis);
  pass(redis, client);
});
server.listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

serve(() => /** @type {import("node:net").AddressInfo} */ (server.address()).port);
