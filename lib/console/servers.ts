// Asks the servers for their memory, evictions and policy, as far as they tell.
import type { RedisStore } from "../index.js";

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
export function serverOf(address: string, info: string): Server {
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

/** `undefined` where none of them may be asked. */
export async function serversOfStore(
  _store: RedisStore,
  _timeout: number,
): Promise<Server[] | undefined> {
  return undefined;
}
