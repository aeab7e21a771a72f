// Redis as the store sees it, over any client.
export { type Held, readMany } from "./bulk.js";
export {
  assertClient,
  createPort,
  isClient,
  publishingOf,
  type RedisClient,
  type ServerOf,
  serversOf,
  trackerOf,
} from "./detect.js";
export type { NodeRedisClient } from "./families/node-redis.js";
export type { Tracker, TrackingEvents } from "./families/tracking.js";
export { Later } from "./later.js";
export { isInDoubt, lateAnswerOf, wasSent } from "./outcome.js";
export type { Adapter, KeyPage, KeyType, Port, PortOptions, Size, TimeToLive } from "./port.js";
export type { Publisher, Subscriber } from "./publisher.js";
export { type Script, script } from "./script.js";
export type { Command } from "./transport.js";
export { listenToWrites } from "./writes.js";
