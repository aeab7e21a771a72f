// What the doctor asks a server about itself.
import { performance } from "node:perf_hooks";
import type { ServerOf } from "../client/index.js";
import type { Finding, Verdict } from "./finding.js";
import { bytes } from "./text.js";

type Info = Readonly<Record<string, string>>;

/** So many pings tell how far the server is. */
const PINGS = 20;

/** Above this a clock is off by more than a network explains, in ms. */
const CLOCK = 1000;

/** The letters of notify-keyspace-events that watch() needs. */
const NOTIFICATIONS = "Kg$xe";

/** Checks one server. */
export async function* server(one: ServerOf): AsyncGenerator<Finding> {
  yield latency(await pings(one));
  yield await clock(one);
  const info = await infoOf(one);
  if (info === undefined) {
    const says = "the Redis user may not run INFO";
    yield { verdict: "unknown", check: "server", says, advice: "grant +info to whoever looks" };
    return;
  }
  yield version(info);
  yield role(info);
  yield memory(info);
  yield eviction(info);
  yield persistence(info);
  if (info.cluster_enabled === "1") yield await coverage(one);
  yield await notifications(one);
}

async function pings(one: ServerOf): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < PINGS; index++) {
    const asked = performance.now();
    await one.send("PING");
    times.push(performance.now() - asked);
  }
  return times.sort((a, b) => a - b)[PINGS >> 1] as number;
}

function latency(ms: number): Finding {
  const says = `${ms.toFixed(2)} ms for a ping (median of ${PINGS})`;
  return ms < 10
    ? { verdict: "fine", check: "latency", says }
    : { verdict: "doubtful", check: "latency", says, advice: "each request waits for one trip" };
}

async function clock(one: ServerOf): Promise<Finding> {
  const before = Date.now();
  let reply: unknown;
  try {
    reply = await one.send("TIME");
  } catch {
    return { verdict: "unknown", check: "clock", says: "the Redis user may not run TIME" };
  }
  const after = Date.now();
  const [seconds, micros] = (reply as unknown[]).map(Number) as [number, number];
  const time = seconds * 1000 + micros / 1000;
  const off = time < before ? before - time : Math.max(0, time - after);
  const says = `${Math.round(off)} ms off the clock of this machine`;
  return off < CLOCK
    ? { verdict: "fine", check: "clock", says }
    : {
        verdict: "doubtful",
        check: "clock",
        says,
        advice: "run NTP on both: dates in cookies go by the app's clock",
      };
}

async function infoOf(one: ServerOf): Promise<Info | undefined> {
  try {
    const text = String(await one.send("INFO"));
    return Object.fromEntries(
      text.split(/\r?\n/).flatMap((line) => {
        const colon = line.indexOf(":");
        return colon > 0 ? [[line.slice(0, colon), line.slice(colon + 1)]] : [];
      }),
    );
  } catch {
    return undefined;
  }
}

function version(info: Info): Finding {
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

function role({
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

function memory({
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
    ? "logins and changes fail: raise maxmemory, or look with list what fills it"
    : "raise maxmemory before it is full";
  return { verdict: isFull ? "broken" : "doubtful", check: "memory", says, advice };
}

function eviction({ maxmemory_policy: policy = "", evicted_keys: evicted = "0" }: Info): Finding {
  const says = `${policy}, ${evicted} keys evicted since the start`;
  if (policy === "noeviction") return { verdict: "fine", check: "eviction", says };
  const verdict: Verdict = evicted === "0" ? "doubtful" : "broken";
  const advice =
    "evicted sessions are logouts: set maxmemory-policy noeviction, and watch the memory";
  return { verdict, check: "eviction", says, advice };
}

function persistence(info: Info): Finding {
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

async function coverage(one: ServerOf): Promise<Finding> {
  try {
    const text = String(await one.send("CLUSTER", "INFO"));
    const of = (name: string) => new RegExp(`${name}:(\\S+)`).exec(text)?.[1];
    const assigned = Number(of("cluster_slots_assigned"));
    const failing = Number(of("cluster_slots_fail"));
    const says = `${assigned} of 16384 slots have a primary, ${failing} of them fail`;
    if (assigned === 16_384 && failing === 0 && of("cluster_state") === "ok") {
      return { verdict: "fine", check: "cluster", says };
    }
    const advice = "sessions in the others cannot be read: see redis-cli --cluster check";
    return { verdict: "broken", check: "cluster", says, advice };
  } catch {
    return {
      verdict: "unknown",
      check: "cluster",
      says: "the Redis user may not run CLUSTER INFO",
    };
  }
}

async function notifications(one: ServerOf): Promise<Finding> {
  const check = "notifications";
  let setting: string;
  try {
    const reply = await one.send("CONFIG", "GET", "notify-keyspace-events");
    const values = Array.isArray(reply) ? reply.map(String) : Object.values(reply as object);
    setting = String(values.at(-1) ?? "");
  } catch {
    return { verdict: "unknown", check, says: "the Redis user may not run CONFIG GET" };
  }
  const letters = setting.includes("A") ? `${setting}g$lshzxetd` : setting;
  const lacks = NOTIFICATIONS.split("")
    .filter((letter) => !letters.includes(letter))
    .join("");
  return lacks === ""
    ? { verdict: "fine", check, says: `on ("${setting}")` }
    : {
        verdict: "doubtful",
        check,
        says: `"${setting}" lacks ${lacks}`,
        advice: `watch() hears nothing until it is set: CONFIG SET notify-keyspace-events ${NOTIFICATIONS}n`,
      };
}
