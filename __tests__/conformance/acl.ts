import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Server } from "../support/servers.js";
import { OWN } from "./suite.js";

const page = readFileSync(resolve(__dirname, "../../docs/redis-user.md"), "utf8");

/** What docs/redis-user.md lets an operator do, who does most, and what endings add to it. */
const COMMANDS = page
  .split("\n")
  .filter((line) => line.startsWith("ACL SETUSER operator ") || line.startsWith("| [`endings`]"))
  .flatMap((line) => [...line.matchAll(/\+([\w|]+)/g)].map(([, command = ""]) => command));

/**
 * What clients ask a cluster, `readonly` only where they are set to read from replicas; and what a
 * listing asks it to see whether slots move.
 */
const IN_CLUSTER = "cluster|slots cluster|info readonly cluster|nodes".split(" ");

export const USER = { username: "app", password: "secret" };

/** Makes a user who may touch the keys of the suite with the store's commands, and nothing else. */
export async function limit(servers: readonly Server[], inCluster = false): Promise<void> {
  const commands = [...COMMANDS, ...(inCluster ? IN_CLUSTER : [])];
  const rules = ["reset", "on", `>${USER.password}`, `~${OWN}*`, `~ended:${OWN}*`];
  for (const server of servers) {
    const allowed = commands.map((command) => `+${command}`);
    await server.command("ACL", "SETUSER", USER.username, ...rules, ...allowed);
  }
}
