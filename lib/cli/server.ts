// What the doctor asks a server about itself.
import { performance } from "node:perf_hooks";
import { isReply, isSilence, within } from "../base/index.js";
import type { ServerOf } from "../client/index.js";
import type { Finding } from "./finding.js";
import { eviction, type Info, infoOf, keys, memory, persistence, role, version } from "./info.js";

/** So many pings tell how far the server is. */
const PINGS = 20;

/** Above this a clock is off by more than a network explains, in ms. */
const CLOCK = 1000;

/** The letters of notify-keyspace-events that watch() needs. */
const NOTIFICATIONS = "Kg$xe";

/** How long a server may take to answer one question, in ms. */
const PATIENCE = 5000;

/** Checks one server; throws where it gives no answer. */
export async function* server(one: ServerOf): AsyncGenerator<Finding> {
  const ask: Ask = (...command) => {
    return within(one.send(...command), PATIENCE, command.join(" "), "ERR_TIMEOUT");
  };
  yield latency(await pings(ask));
  yield await clock(ask);
  const info = await askInfo(ask);
  if (info === undefined) {
    const says = "the Redis user may not run INFO";
    yield { verdict: "unknown", check: "server", says, advice: "grant +info to whoever looks" };
    return;
  }
  yield version(info);
  yield role(info);
  yield memory(info);
  yield eviction(info);
  yield keys(info);
  yield persistence(info);
  if (info.cluster_enabled === "1") yield await coverage(ask);
  yield await notifications(ask);
}

/** Sends a command to the server, and waits so long and no longer. */
type Ask = (...command: string[]) => Promise<unknown>;

/** What a server answers; `undefined` where it refuses. Silence is no refusal. */
async function unlessRefused(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (isSilence(error) || !isReply(error)) throw error;
    return undefined;
  }
}

async function pings(ask: Ask): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < PINGS; index++) {
    const asked = performance.now();
    await ask("PING");
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

async function clock(ask: Ask): Promise<Finding> {
  const before = Date.now();
  const reply = await unlessRefused(ask("TIME"));
  if (reply === undefined) {
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

async function askInfo(ask: Ask): Promise<Info | undefined> {
  const reply = await unlessRefused(ask("INFO"));
  return reply === undefined ? undefined : infoOf(textOf(reply));
}

/** A client may read in Buffers. */
function textOf(reply: unknown): string {
  return Buffer.isBuffer(reply) ? reply.toString() : String(reply);
}

async function coverage(ask: Ask): Promise<Finding> {
  const check = "cluster";
  const reply = await unlessRefused(ask("CLUSTER", "INFO"));
  if (reply === undefined) {
    return { verdict: "unknown", check, says: "the Redis user may not run CLUSTER INFO" };
  }
  const text = textOf(reply);
  const of = (name: string) => new RegExp(`${name}:(\\S+)`).exec(text)?.[1];
  const assigned = Number(of("cluster_slots_assigned"));
  const failing = Number(of("cluster_slots_fail"));
  const says = `${assigned} of 16384 slots have a primary, ${failing} of them fail`;
  if (assigned === 16_384 && failing === 0 && of("cluster_state") === "ok") {
    return { verdict: "fine", check, says };
  }
  const advice = "sessions in the others cannot be read: see redis-cli --cluster check";
  return { verdict: "broken", check, says, advice };
}

async function notifications(ask: Ask): Promise<Finding> {
  const check = "notifications";
  const reply = await unlessRefused(ask("CONFIG", "GET", "notify-keyspace-events"));
  if (reply === undefined) {
    return { verdict: "unknown", check, says: "the Redis user may not run CONFIG GET" };
  }
  const values = Array.isArray(reply) ? reply.map(String) : Object.values(reply as object);
  const setting = String(values.at(-1) ?? "");
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
