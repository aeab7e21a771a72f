import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import type { Script } from "../../lib/index.js";
import { type Server, startServer } from "../support/servers.js";
import { Refusal, type Reply, SimulatedRedis, Status, textOf } from "./redis.js";

/** So many sequences of commands are replayed in every run of the tests; each has up to 40. */
const SEQUENCES = Number(process.env.SEQUENCES ?? 400);

/** Two times that far apart are not the same, in ms: the machine may be busy. */
const TOLERANCE = 20_000;

/** Every script of the library, wherever it is. */
const LIB = join(__dirname, "../../lib");
const SCRIPTS = readdirSync(LIB, { recursive: true, encoding: "utf8" })
  .map((file) => join(LIB, file))
  .filter((file) => file.endsWith(".ts") && readFileSync(file, "utf8").includes("= script(`"))
  .flatMap((file) => Object.values(require(file) as object))
  .filter((each): each is Script => typeof (each as Partial<Script>)?.sha === "string");

/** The script that scans, by its hash. */
const SCAN = SCRIPTS.find(({ source }) => source.includes("ZSCAN"))?.sha;

let server: Server;
let isNative: boolean;
beforeAll(async () => {
  server = await startServer();
  isNative = await server.command("SET", "k", "v", "IFEQ", "w").then(
    () => true,
    () => false,
  );
});
afterAll(() => server?.stop());

const key = fc.constantFrom("{k}1", "{k}2", "{k}3", "{k}4");
const text = fc.constantFrom("a", "b", '{"c":"é"}', "");
const member = fc.constantFrom("s1", "s2", "s3", "s4", "é");
const score = fc.constantFrom(
  "1",
  "2",
  "3.5",
  "-inf",
  "inf",
  "(1",
  "(-inf",
  "+inf",
  "1893456000000000",
);
const life = fc.constantFrom("100000", "200000", "400000");
const at = fc.constantFrom("-2", "-1", "0", "1", "5");
const args = fc.array(
  fc.constantFrom(
    "",
    "0",
    "1",
    "2",
    "a",
    "b",
    "s1",
    "s2",
    "s3",
    "100000",
    "200000",
    "inf",
    "-inf",
    "app",
  ),
  { minLength: 1, maxLength: 6 },
);

const command = fc.oneof(
  fc.tuple(fc.constant("GET"), key),
  fc.tuple(fc.constant("MGET"), key, key),
  fc.tuple(fc.constantFrom("DEL", "UNLINK", "EXISTS"), key, key),
  fc.tuple(fc.constantFrom("TYPE", "PTTL", "PERSIST", "ZCARD", "HGETALL", "STRLEN"), key),
  fc.tuple(fc.constant("SET"), key, text),
  fc.tuple(fc.constant("SET"), key, text, fc.constant("PX"), life),
  fc.tuple(fc.constant("SET"), key, text, fc.constantFrom("XX", "NX", "KEEPTTL")),
  fc.tuple(fc.constant("SET"), key, text, fc.constantFrom("XX", "NX"), fc.constant("PX"), life),
  fc.tuple(fc.constant("SET"), key, text, fc.constant("XX"), fc.constant("KEEPTTL")),
  fc.tuple(fc.constant("SET"), key, text, fc.constantFrom("GET", "PX")),
  fc.tuple(fc.constant("SET"), key, text, fc.constant("IFEQ"), text, fc.constant("PX"), life),
  fc.tuple(fc.constant("SET"), key, text, fc.constant("IFEQ"), text, fc.constant("KEEPTTL")),
  fc.tuple(
    fc.constant("SET"),
    key,
    text,
    fc.constant("IFEQ"),
    text,
    fc.constant("PX"),
    life,
    fc.constant("GET"),
  ),
  fc.tuple(fc.constant("PEXPIRE"), key, fc.oneof(life, fc.constantFrom("0", "-1", "x"))),
  fc.tuple(
    fc.constant("PEXPIRE"),
    key,
    // Hardly ever the same again: which of two equal ones is longer is a matter of luck.
    fc.noBias(fc.integer({ min: 140_000, max: 300_000 })).map(String),
    fc.constantFrom("GT", "LT", "NX", "XX"),
  ),
  fc.tuple(fc.constant("ZADD"), key, score, member),
  fc.tuple(fc.constant("ZADD"), key, fc.constantFrom("GT", "LT", "NX", "XX", "CH"), score, member),
  fc.tuple(fc.constant("ZREM"), key, member, member),
  fc.tuple(fc.constant("ZSCORE"), key, member),
  fc.tuple(fc.constant("ZCOUNT"), key, score, score),
  fc.tuple(fc.constant("ZRANGE"), key, at, at),
  fc.tuple(fc.constant("ZRANGE"), key, at, at, fc.constant("WITHSCORES")),
  fc.tuple(fc.constant("ZRANGEBYSCORE"), key, score, score),
  fc.tuple(
    fc.constant("ZRANGEBYSCORE"),
    key,
    score,
    score,
    fc.constant("LIMIT"),
    fc.constant("0"),
    at,
  ),
  fc.tuple(
    fc.constant("ZRANGEBYSCORE"),
    key,
    score,
    score,
    fc.constant("LIMIT"),
    fc.constant("1"),
    at,
    fc.constant("WITHSCORES"),
  ),
  fc.tuple(fc.constantFrom("HSET", "HSETNX"), key, member, text),
  fc.tuple(fc.constantFrom("HGET", "HMGET"), key, member),
  fc.tuple(fc.constant("FLUSHALL")),
  fc.tuple(fc.constant("SCRIPT"), fc.constant("FLUSH")),
  fc.tuple(fc.constant("NONSENSE"), key),
) as fc.Arbitrary<string[]>;

const script = fc
  .tuple(fc.constantFrom(...SCRIPTS), key, key, args, fc.boolean())
  .map(([{ source, sha }, first, second, given, isKnown]) => {
    // Whether "" is a cursor, servers do not agree.
    const rest = source.includes("SCAN") ? ["0"] : given;
    const keys = source.includes("KEYS[2]") ? ["2", first, second] : ["1", first];
    return isKnown ? ["EVALSHA", sha, ...keys, ...rest] : ["EVAL", source, ...keys, ...rest];
  });

/** One of the library's, as it would be used: what it compares is often what is there. */
const sequence = fc.array(
  fc.oneof({ weight: 3, arbitrary: command }, { weight: 2, arbitrary: script }),
  {
    minLength: 1,
    maxLength: 40,
  },
);

test("a simulated Redis answers commands and the library's scripts as a real one does", async () => {
  await fc.assert(
    fc.asyncProperty(sequence, async (commands) => {
      let now = Date.now();
      // A key is about to end, and nobody can tell on which of the two it ends first.
      let isRace = false;
      const simulated = new SimulatedRedis({
        now: () => now,
        native: isNative,
        page: 1000,
        onChange: ({ after }) => {
          isRace ||= (after?.ends ?? Number.POSITIVE_INFINITY) < now + 2 * TOLERANCE;
        },
      });
      await server.command("FLUSHALL");
      await server.command("SCRIPT", "FLUSH");
      for (const words of commands) {
        // No two commands of one millisecond: entries of one time are ordered by their names.
        now = Math.max(now + 1, Date.now());
        if (isRace) return;
        const here = normal(decoded(simulated.execute(words)), words);
        const there = normal(await answerOf(words), words);
        expect([words, here]).toEqual([words, there]);
      }
      if (isRace) return;
      for (const name of ["{k}1", "{k}2", "{k}3", "{k}4"]) await compareKey(simulated, name);
    }),
    { numRuns: SEQUENCES },
  );
});

test("a scan of a simulated Redis finds each key that is there all the while", () => {
  const simulated = new SimulatedRedis({
    now: () => 0,
    native: false,
    page: 2,
    onChange: () => {},
  });
  const names = Array.from({ length: 50 }, (_, index) => `a:${index}`);
  for (const name of [...names, "b:1", "A:1"]) simulated.execute(["SET", name, ""]);
  simulated.execute(["ZADD", "a:z", "1", "m"]);
  const found = new Set<string>();
  let cursor = "0";
  do {
    const command = ["SCAN", cursor, "MATCH", "a:*", "COUNT", "10", "TYPE", "string"];
    const [next, keys] = simulated.execute(command) as [string, string[]];
    for (const each of keys) found.add(each);
    // Others come and go meanwhile.
    simulated.execute(["SET", `a:new ${cursor}`, ""]);
    simulated.execute(["DEL", `a:new ${next}`]);
    cursor = next;
  } while (cursor !== "0");
  expect(names.filter((name) => !found.has(name))).toEqual([]);
  expect([...found].every((name) => name.startsWith("a:") && name !== "a:z")).toBe(true);
});

/** A reply with texts for bytes. */
function decoded(reply: Reply): unknown {
  if (Array.isArray(reply)) return reply.map(decoded);
  return typeof reply === "string" ? textOf(reply) : reply;
}

async function answerOf(words: string[]): Promise<unknown> {
  return server.command(...words).catch((error: Error) => error);
}

/** What both answer in the same way: times are about the same, errors are of one kind. */
function normal(reply: unknown, words: string[]): unknown {
  if (reply instanceof Error)
    return /^[A-Z]+ /.exec(reply.message)?.[0] === "NOSCRIPT " ? "NOSCRIPT" : "error";
  if (reply instanceof Status) return reply.text;
  if (typeof reply === "string") return normalText(reply, words);
  if (typeof reply === "number") {
    if (reply > 1.5e12 && !words.includes(String(reply))) return "some time";
    return reply > 2 * TOLERANCE ? rounded(reply) : reply;
  }
  if (!Array.isArray(reply)) return reply;
  const list = reply.map((each) => normal(each, words));
  // The order of a hash is nobody's promise, nor that of a scan.
  const isUnordered = words[0] === "HGETALL" || words[1]?.includes("ZSCAN") || words[1] === SCAN;
  return isUnordered ? new Set(list.flat()) : list;
}

/** The server's clock, in µs or ms, differs from ours. */
function normalText(text: string, words: string[]): string {
  const isTime = /^(800)?1[5-9]\d{11}(\d{3})?(\.\d+)?$/.test(text) && !words.includes(text);
  return isTime ? "some time" : text;
}

function rounded(ms: number): number {
  return Math.round(ms / TOLERANCE) * TOLERANCE;
}

async function compareKey(simulated: SimulatedRedis, name: string): Promise<void> {
  const stored = simulated.keys().get(name);
  const type = await answerOf(["TYPE", name]);
  expect([name, stored?.type ?? "none"]).toEqual([name, type]);
  const read: Record<string, string[]> = {
    string: ["GET", name],
    zset: ["ZRANGE", name, "0", "-1", "WITHSCORES"],
    hash: ["HGETALL", name],
  };
  for (const words of [read[stored?.type ?? ""], ["PTTL", name]]) {
    if (words === undefined) continue;
    const here: Reply = simulated.execute(words);
    expect(here).not.toBeInstanceOf(Refusal);
    expect([words, normal(decoded(here), words)]).toEqual([
      words,
      normal(await answerOf(words), words),
    ]);
  }
}
