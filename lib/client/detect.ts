import { StoreError } from "../errors.js";
import { Commands, type Transport } from "./commands.js";
import { isNodeRedis, type NodeRedisClient, NodeRedisTransport } from "./node-redis.js";
import type { Port } from "./port.js";

/** The clients that the store takes, by what it uses of them. */
export type RedisClient = NodeRedisClient;

/**
 * The port for a client as the app made it. The only place that recognises clients.
 *
 * @param timeout - how long one round trip may take, in ms
 * @throws ERR_INVALID_OPTION for anything that is no client, or one that cannot be used
 */
export function createPort(client: unknown, binary: boolean, timeout: number): Port {
  return new Commands(transportOf(client), binary, timeout);
}

function transportOf(client: unknown): Transport {
  if (typeof client !== "object" || client === null) {
    throw refused(`is ${client === null ? "null" : typeof client}`);
  }
  if (typeof (client as { then?: unknown }).then === "function") {
    throw refused("is a promise; await it first");
  }
  if (isNodeRedis(client)) {
    const { legacyMode } = (client.options ?? {}) as { legacyMode?: unknown };
    if (legacyMode) throw refused("is in legacyMode; create it without that option");
    return new NodeRedisTransport(client);
  }
  throw refused(
    isTopology(client) ? "is a cluster, sentinel or pool" : "is nothing that the store knows",
  );
}

function isTopology(client: object): boolean {
  return typeof (client as { sendCommand?: unknown }).sendCommand === "function";
}

function refused(why: string): StoreError {
  return new StoreError(
    "ERR_INVALID_OPTION",
    `the option "client" must be a client of the package redis, version 4, 5 or 6, made by createClient(); what was passed ${why}`,
  );
}
