import autocannon from "autocannon";
import { serve } from "./processes.js";

/** Loads a server, in a process of its own. */

const USERS = 64;

/** @typedef {{ do: "login", port: number } | { do: "load", port: number, path: string, seconds: number }} Request */

/** The session cookies of the users of each server. @type {Map<number, string[]>} */
const cookies = new Map();

serve(async (/** @type {Request} */ request) => {
  const { port } = request;
  const server = `http://127.0.0.1:${port}`;
  if (request.do === "login") {
    const logins = Array.from({ length: USERS }, async () => {
      const { headers } = await fetch(`${server}/login`);
      return headers.get("set-cookie")?.split(";")[0] ?? "";
    });
    cookies.set(port, await Promise.all(logins));
    return 0;
  }
  const own = /** @type {string[]} */ (cookies.get(port));
  let next = 0;
  const { requests, latency, errors, non2xx, duration } = await autocannon({
    url: server + request.path,
    connections: USERS,
    duration: request.seconds,
    // One browser each.
    setupClient: (client) => client.setHeaders({ cookie: own[next++ % USERS] }),
  });
  if (errors + non2xx > 0) throw new Error(`${errors} errors, ${non2xx} refused`);
  return {
    requests: requests.total,
    throughput: requests.total / duration,
    p50: latency.p50,
    p99: latency.p99,
  };
});
