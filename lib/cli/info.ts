// What INFO of a server says about sessions.
import type { Finding, Verdict } from "./finding.js";
import { bytes } from "./text.js";

/** The fields of INFO. */
export type Info = Readonly<Record<string, string>>;

/** The fields in the text that a server answers. */
export function infoOf(text: string): Info {
  return Object.fromEntries(
    text.split(/\r?\n/).flatMap((line) => {
      const colon = line.indexOf(":");
      return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1)]] : [];
    }),
  );
}

export function version(info: Info): Finding {
  const isValkey = info.valkey_version !== undefined || info.server_name === "valkey";
  const number = info.valkey_version ?? info.redis_version ?? "";
  const says = `${isValkey ? "Valkey" : "Redis"} ${number}`;
  const oldest = isValkey ? 8 : 7;
  return Number.parseInt(number, 10) >= oldest
    ? { verdict: "fine", check: "version", says }
    : {
        verdict: "doubtful",
        check: "version",
        says,
        advice: "tested are Redis 7 and 8, Valkey 8 and 9",
      };
}

export function role({
  role: is,
  connected_slaves: replicas = "0",
  master_link_status: link,
}: Info): Finding {
  if (is === "slave") {
    const says = `a replica${link === "down" ? " that has lost its primary" : ""}`;
    return { verdict: "broken", check: "role", says, advice: "connect to the primary" };
  }
  return replicas === "0"
    ? {
        verdict: "doubtful",
        check: "role",
        says: "a primary without replicas",
        advice: "when it fails, everyone waits until it is back",
      }
    : { verdict: "fine", check: "role", says: `a primary with ${replicas} replicas` };
}

export function memory({
  used_memory: used = "0",
  maxmemory = "0",
  maxmemory_policy: policy,
}: Info): Finding {
  if (maxmemory === "0") {
    const says = `${bytes(Number(used))} used, no limit`;
    return { verdict: "fine", check: "memory", says };
  }
  const share = Number(used) / Number(maxmemory);
  const says = `${bytes(Number(used))} of ${bytes(Number(maxmemory))} used (${Math.round(share * 100)} %)`;
  if (share < 0.9) return { verdict: "fine", check: "memory", says };
  const isFull = share >= 1 && policy === "noeviction";
  const advice = isFull
    ? "logins and changes fail: raise maxmemory, or end what fills it: list --largest"
    : "raise maxmemory before it is full, or see what fills it: list --largest";
  return { verdict: isFull ? "broken" : "doubtful", check: "memory", says, advice };
}

export function eviction({
  maxmemory_policy: policy = "",
  evicted_keys: evicted = "0",
}: Info): Finding {
  const says = `${policy}, ${evicted} keys evicted since the start`;
  if (policy === "noeviction") return { verdict: "fine", check: "eviction", says };
  const verdict: Verdict = evicted === "0" ? "doubtful" : "broken";
  const advice =
    "evicted sessions are logouts: set maxmemory-policy noeviction, and watch the memory";
  return { verdict, check: "eviction", says, advice };
}

export function persistence(info: Info): Finding {
  const isAppending = info.aof_enabled === "1";
  const failed = info.rdb_last_bgsave_status === "err" || info.aof_last_write_status === "err";
  if (failed) {
    const says = "the last write to disk failed";
    return { verdict: "broken", check: "persistence", says, advice: "see the log of the server" };
  }
  if (isAppending) {
    return {
      verdict: "fine",
      check: "persistence",
      says: "append-only file: a restart loses a second",
    };
  }
  const saved = Number(info.rdb_last_save_time) * 1000;
  const hasSaved = Number(info.rdb_saves ?? 0) > 0 || info.rdb_last_bgsave_time_sec !== "-1";
  return hasSaved
    ? {
        verdict: "doubtful",
        check: "persistence",
        says: `snapshots, the last of ${new Date(saved).toISOString()}: a restart loses what came later`,
        advice: "turn on appendonly for less",
      }
    : {
        verdict: "doubtful",
        check: "persistence",
        says: "nothing was written to disk yet: a restart logs everyone out",
        advice: "turn on appendonly, or accept it",
      };
}

/** How many keys there are, of sessions and of whatever else. */
export function keys(info: Info): Finding {
  const databases = Object.keys(info).filter((name) => /^db\d+$/.test(name));
  const sum = (field: string): number =>
    databases
      .map((name) => Number(new RegExp(`\\b${field}=(\\d+)`).exec(info[name] ?? "")?.[1] ?? 0))
      .reduce((all, one) => all + one, 0);
  const says = `${sum("keys")} of sessions and of others, ${sum("expires")} of them with an expiry`;
  return { verdict: "fine", check: "keys", says };
}
