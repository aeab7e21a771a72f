import type { Server } from "../support/servers.js";
import { OWN } from "./suite.js";

/** What the store sends; the README lists it. */
const COMMANDS = "get mget set pexpire pttl del unlink scan eval evalsha ping".split(" ");

/** What the clients send on their own account: ioredis, iovalkey and valkey-glide ask for the state of the server. */
const OF_CLIENTS = ["info"];

/** What a listing of a cluster and the clients of a cluster send in addition. */
const IN_CLUSTER = "cluster|nodes cluster|slots cluster|shards cluster|info readonly".split(" ");

export const USER = { username: "app", password: "secret" };

/** Makes a user who may touch the keys of the suite with the store's commands, and nothing else. */
export async function limit(servers: readonly Server[], inCluster = false): Promise<void> {
  const commands = [...COMMANDS, ...OF_CLIENTS, ...(inCluster ? IN_CLUSTER : [])];
  const rules = ["reset", "on", `>${USER.password}`, `~${OWN}*`];
  for (const server of servers) {
    const allowed = commands.map((command) => `+${command}`);
    await server.command("ACL", "SETUSER", USER.username, ...rules, ...allowed);
  }
}
