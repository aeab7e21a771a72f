// Asks the servers for their memory, evictions and policy, as far as they tell.
import { within } from "../base/index.js";
import { type RedisClient, type ServerOf, serversOf } from "../client/index.js";

/** What one server tells; `undefined`: it does not. */
export interface Server {
  readonly address: string;
  readonly version: string | undefined;
  /** In bytes. */
  readonly used: number | undefined;
  /** In bytes; `undefined`: none, or unknown. */
  readonly limit: number | undefined;
  readonly policy: string | undefined;
  readonly evicted: number | undefined;
}

/** What the text of INFO says of a server. */
function serverOf(address: string, info: string): Server {
  const fields = new Map(
    info.split(/\r?\n/).map((line) => {
      const [name = "", ...value] = line.split(":");
      return [name, value.join(":")] as const;
    }),
  );
  const number = (name: string): number | undefined => {
    const text = fields.get(name);
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
  };
  const valkey = fields.get("valkey_version");
  const redis = fields.get("redis_version");
  return {
    address,
    version: valkey === undefined ? redis && `Redis ${redis}` : `Valkey ${valkey}`,
    used: number("used_memory"),
    limit: number("maxmemory") || undefined,
    policy: fields.get("maxmemory_policy"),
    evicted: number("evicted_keys"),
  };
}

/**
 * What the servers behind a client tell; `undefined` where none of them may be asked.
 *
 * @param timeout - for how long they are waited for, in ms
 */
export async function serversBehind(
  client: RedisClient,
  timeout: number,
): Promise<Server[] | undefined> {
  try {
    const asked = serversOf(client).then((servers) =>
      Promise.all(servers.map(async (one) => serverOf(one.address, await infoOf(one)))),
    );
    return await within(asked, timeout, "INFO", "ERR_TIMEOUT");
  } catch {
    // A Redis user may lack the command: a page is of use without it.
    return undefined;
  }
}

/** The text of INFO; a client may read in Buffers. */
async function infoOf(server: ServerOf): Promise<string> {
  const text = await server.send("INFO");
  return Buffer.isBuffer(text) ? text.toString() : String(text);
}
