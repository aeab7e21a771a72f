import type { Server } from "../support/servers.js";
import { OWN } from "./suite.js";

/** What the store sends; docs/redis-user.md lists it. */
const COMMANDS = "get mget set pexpire pttl del unlink scan eval evalsha ping".split(" ");

/** What the notes of the option `endings` need besides. */
const OF_ENDINGS = "hset hsetnx hmget time".split(" ");

/** What valkey-glide does not connect without; ioredis and iovalkey warn without it. */
const OF_CLIENTS = ["info"];

/**
 * What clients ask a cluster, `readonly` only where they are set to read from replicas; and what a
 * listing asks it to see whether slots move.
 */
const IN_CLUSTER = "cluster|slots cluster|info readonly cluster|nodes".split(" ");

export const USER = { username: "app", password: "secret" };

/** Makes a user who may touch the keys of the suite with the store's commands, and nothing else. */
export async function limit(servers: readonly Server[], inCluster = false): Promise<void> {
  const commands = [...COMMANDS, ...OF_ENDINGS, ...OF_CLIENTS, ...(inCluster ? IN_CLUSTER : [])];
  const rules = ["reset", "on", `>${USER.password}`, `~${OWN}*`, `~ended:${OWN}*`];
  for (const server of servers) {
    const allowed = commands.map((command) => `+${command}`);
    await server.command("ACL", "SETUSER", USER.username, ...rules, ...allowed);
  }
}
