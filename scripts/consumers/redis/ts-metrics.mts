import assert from "node:assert/strict";
import { subscribe } from "node:diagnostics_channel";
import { createClient } from "redis";
import { type EventMessage, type OperationMessage, RedisStore } from "redis-session-store";
import { collectMetrics, type Metrics } from "redis-session-store/metrics";

const metrics: Metrics = collectMetrics({});
const store = new RedisStore({ client: createClient(), name: "orders" });
assert.equal(metrics.snapshot().orders?.up, true);
metrics.close();

subscribe("tracing:redis-session-store:get:asyncEnd", (message) => {
  const { outcome, seconds } = message as OperationMessage;
  const isHit: boolean = outcome === "hit" || outcome === "cached";
  // @ts-expect-error there is no such outcome
  assert(outcome !== "lost" && isHit && seconds);
});
subscribe("redis-session-store:event", (message) => {
  const event = message as EventMessage;
  if (event.event === "merged") assert(event.overwritten >= 0);
});
store.close();
