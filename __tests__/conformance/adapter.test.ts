import { createHash } from "node:crypto";
import { createClient, RESP_TYPES } from "redis";
import {
  type Adapter,
  type KeyType,
  type Port,
  type PortOptions,
  type Script,
  StoreError,
  type TimeToLive,
  type Value,
} from "../../lib/index.js";
import { type Server, startServer } from "../support/servers.js";
import { conformance } from "./suite.js";

const source = `
local current = redis.call("GET", KEYS[1])
if current ~= ARGV[1] then return current or 0 end
local life = ARGV[3] == "" and {} or ARGV[3] == "keep" and { "KEEPTTL" } or { "PX", ARGV[3] }
redis.call("SET", KEYS[1], ARGV[2], unpack(life))
return 1`;
const COMPARE_AND_SET: Script = {
  source,
  sha: createHash("sha1").update(source).digest("hex"),
};

type Send = (command: Value[], binary: boolean) => Promise<unknown>;

/** An adapter as somebody else would write it, over nothing but a way to send commands. */
class OwnPort implements Port {
  readonly isOrdered = true;
  readonly #send: Send;
  readonly #options: PortOptions;

  constructor(send: Send, options: PortOptions) {
    this.#send = send;
    this.#options = options;
  }

  get(key: string) {
    return this.#ask<Value | null>(["GET", key], this.#options.binary);
  }

  async set(key: string, value: Value, px: TimeToLive, when?: "existing" | "new") {
    const command = ["SET", key, value];
    if (px === "keep") command.push("KEEPTTL");
    else if (px !== null) command.push("PX", String(px));
    if (when !== undefined) command.push(when === "new" ? "NX" : "XX");
    return (await this.#ask(command)) !== null;
  }

  async expire(key: string, px: number, when?: "longer") {
    const condition = when === "longer" ? ["GT"] : [];
    return (await this.#ask(["PEXPIRE", key, String(px), ...condition])) === 1;
  }

  async replace(key: string, expected: Value, value: Value, px: TimeToLive) {
    const args = [expected, value, String(px ?? "")];
    const reply = await this.run(COMPARE_AND_SET, key, args);
    return typeof reply === "number" ? reply === 1 || null : reply;
  }

  remove(key: string) {
    return this.#ask<number>(["DEL", key]);
  }

  run(script: Script, key: string, args: Value[]) {
    return this.#run<number | Value>(script, [key], args, this.#options.binary);
  }

  runOn(script: Script, keys: string[], args: string[]) {
    return this.#run(script, keys, args, false);
  }

  async *scan(prefix: string, count: number, type: KeyType = "string") {
    const match = `${prefix.replace(/[\\*?[\]]/g, "\\$&")}*`;
    let cursor = "0";
    do {
      const command = ["SCAN", cursor, "MATCH", match, "COUNT", String(count), "TYPE", type];
      const [next, keys] = await this.#ask<[string, string[]]>(command);
      cursor = next;
      if (keys.length > 0) yield keys;
    } while (cursor !== "0");
  }

  async page(prefix: string, count: number, cursor: string | null, type: KeyType = "string") {
    const match = `${prefix.replace(/[\\*?[\]]/g, "\\$&")}*`;
    const command = ["SCAN", cursor ?? "0", "MATCH", match, "COUNT", String(count), "TYPE", type];
    const [next, keys] = await this.#ask<[string, string[]]>(command);
    return { keys, cursor: next === "0" ? null : next };
  }

  async ping() {
    await this.#ask(["PING"]);
  }

  getMany(keys: string[]) {
    return this.#ask<(Value | null)[]>(["MGET", ...keys], this.#options.binary);
  }

  async measure(keys: string[]) {
    const left = await Promise.all(keys.map((key) => this.#ask<number>(["PTTL", key])));
    return left.map((ms) =>
      ms === -2 ? null : { bytes: undefined, left: ms === -1 ? Number.POSITIVE_INFINITY : ms },
    );
  }

  async time() {
    const [seconds, us] = await this.#ask<[string, string]>(["TIME"]);
    return Number(seconds) * 1e6 + Number(us);
  }

  removeMany(keys: string[]) {
    return this.#ask<number>(["UNLINK", ...keys]);
  }

  async #run<Reply>(script: Script, keys: string[], args: Value[], binary: boolean) {
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.#ask<Reply>(["EVALSHA", script.sha, ...rest], binary);
    } catch (error) {
      if (!/^NOSCRIPT/.test(((error as Error).cause as Error).message)) throw error;
      return this.#ask<Reply>(["EVAL", script.source, ...rest], binary);
    }
  }

  async #ask<Reply>(command: Value[], binary = false): Promise<Reply> {
    try {
      return (await this.#send(command, binary)) as Reply;
    } catch (error) {
      const isOther = (error as Error).message.startsWith("WRONGTYPE");
      const code = isOther ? "ERR_CORRUPT_SESSION" : "ERR_REDIS";
      throw new StoreError(code, "Redis refused a command", error);
    }
  }
}

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

conformance("an adapter of one's own", async () => {
  const redis = createClient({ url: server.url });
  redis.on("error", () => {});
  await redis.connect();
  const send: Send = (command, binary) =>
    redis.sendCommand(command, { typeMapping: binary ? { [RESP_TYPES.BLOB_STRING]: Buffer } : {} });
  const client: Adapter = { createPort: (options) => new OwnPort(send, options) };
  return {
    client,
    command: (_key, ...command) => server.command(...command),
    everywhere: (...command) => server.command(...command),
    close: () => redis.destroy(),
  };
});
