// Serves /metrics for Prometheus, on a port of its own.
import { createServer } from "node:http";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { collectMetrics } from "redis-session-store/metrics";
import { serve } from "../app.js";

const metrics = collectMetrics();
const scraped = createServer((req, res) => {
  const isFound = req.url === "/metrics";
  res.writeHead(isFound ? 200 : 404, {
    "Content-Type": "text/plain; version=0.0.4; charset=utf-8",
  });
  res.end(isFound ? metrics.prometheus() : "");
});
// Not where browsers come: what it says is nobody else's business.
scraped.listen(Number(process.env.METRICS_PORT ?? 9464), "127.0.0.1", () => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (scraped.address());
  console.log(`metrics on http://127.0.0.1:${port}/metrics`);
});

const client = createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" });
client.on("error", (error) => console.error(String(error)));
await client.connect();
serve(new RedisStore({ client, name: "visits" }));
