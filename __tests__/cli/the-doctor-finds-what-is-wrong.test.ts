import { RedisStore } from "../../lib/index.js";
import { type Packed, pack } from "../support/app-folder.js";
import { command } from "../support/command.js";
import { type Server, startCluster, startServer } from "../support/servers.js";
import { type AppSession, connect, sessionOf } from "../support/store.js";

/** One line of `doctor --json`. */
interface Finding {
  readonly verdict: string;
  readonly check: string;
  readonly says: string;
  readonly advice?: string;
}

const CONFIG = `
import { createClient } from "redis";
export default {
  client: createClient({ url: process.env.SERVER }),
  userId: (session) => session.user,
  endings: { keepFor: 60 },
};
`;

/** Stops the server when it is asked for INFO: it took the connection, and hangs from then on. */
const HANGING = `
import { createClient } from "redis";
const client = createClient({ url: process.env.SERVER });
const send = client.sendCommand.bind(client);
client.sendCommand = async (args, ...rest) => {
  if (args[0] === "INFO") {
    process.kill(Number(process.env.SERVER_PID), "SIGSTOP");
    // A signal takes a moment.
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return send(args, ...rest);
};
export default { client };
`;

let packed: Packed;
let cwd: string;
beforeAll(async () => {
  packed = await pack();
  const files = {
    "store.mjs": CONFIG,
    "hanging.mjs": HANGING,
    "package.json": '{ "type": "module" }',
  };
  cwd = await packed.app(files, { redis: "redis" });
});
afterAll(() => packed.remove());

/** What the doctor says of a server, by check. */
async function doctor(
  server: Pick<Server, "url">,
  ...args: string[]
): Promise<{ code: number | null; findings: Map<string, Finding> }> {
  return doctorIn({}, server, ...args);
}

/** The same, with variables of the environment. */
async function doctorIn(
  more: Record<string, string>,
  server: Pick<Server, "url">,
  ...args: string[]
): Promise<{ code: number | null; findings: Map<string, Finding> }> {
  const env = { REDIS_URL: server.url, SERVER: server.url, ...more };
  const { code, stdout, stderr } = await command(["doctor", "--json", ...args], { cwd, env });
  const lines = stdout.split("\n").filter((line) => line !== "");
  if (lines.length === 0) throw new Error(stderr);
  const findings = lines.map((line) => JSON.parse(line) as Finding);
  return { code, findings: new Map(findings.map((one) => [one.check, one])) };
}

async function withServer(args: string[], work: (server: Server) => Promise<void>): Promise<void> {
  const server = await startServer({ args });
  try {
    await work(server);
  } finally {
    await server.stop();
  }
}

const HEALTHY = ["--appendonly", "yes", "--notify-keyspace-events", "Kg$xen"];

test("a server that is fit has nothing found, but that it has no replica", () =>
  withServer(HEALTHY, async (server) => {
    const { code, findings } = await doctor(server, "--config", "store.mjs");
    const found = [...findings.values()].filter(({ verdict }) => verdict !== "fine");
    expect(found.map(({ check }) => check).filter((check) => check !== "latency")).toEqual([
      "role",
    ]);
    expect(code).toBe(1);
    for (const check of ["a login", "a read", "a change", "a renewal", "a logout", "a listing"]) {
      expect(findings.get(check)).toMatchObject({ verdict: "fine" });
    }
    expect(findings.get("index")).toMatchObject({ verdict: "fine" });
    // The doctor's own session is gone.
    expect(findings.get("sessions")?.says).toMatch(/^0,/);
  }));

test("one that evicts, has no persistence and tells no events", () =>
  withServer(
    ["--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru", "--save", ""],
    async (server) => {
      for (let n = 0; n < 2000; n++) await server.command("SET", `fill${n}`, "x".repeat(2000));
      const { code, findings } = await doctor(server);
      expect(code).toBe(1);
      expect(findings.get("eviction")).toMatchObject({ verdict: "broken" });
      expect(findings.get("persistence")).toMatchObject({ verdict: "doubtful" });
      expect(findings.get("notifications")).toMatchObject({ verdict: "doubtful" });
    },
  ));

test("one that is full", () =>
  withServer([], async (server) => {
    await server.command("SET", "fill", "x".repeat(1_000_000));
    await server.command("CONFIG", "SET", "maxmemory", "1mb");
    const { findings } = await doctor(server);
    expect(findings.get("memory")).toMatchObject({ verdict: "broken" });
    expect(findings.get("a login")).toMatchObject({
      verdict: "broken",
      says: expect.stringContaining("ERR_OUT_OF_MEMORY"),
    });
  }));

test("a replica", () =>
  withServer([], async (primary) =>
    withServer(["--replicaof", `127.0.0.1 ${primary.port}`], async (replica) => {
      const { findings } = await doctor(replica);
      expect(findings.get("role")).toMatchObject({ verdict: "broken" });
      expect(findings.get("a login")).toMatchObject({ verdict: "broken" });
    }),
  ));

test("a Redis user without a command that the store needs, and without those that only look", () =>
  withServer([], async (server) => {
    await server.command(
      ...["ACL", "SETUSER", "app", "reset", "on", ">secret", "~*", "+@all", "-pexpire", "-info"],
      ...["-config", "-time"],
    );
    const url = server.url.replace("redis://", "redis://app:secret@");
    const { findings } = await doctor({ url });
    expect(findings.get("a renewal")).toMatchObject({
      verdict: "broken",
      says: expect.stringContaining("ERR_NO_PERMISSION"),
    });
    expect(findings.get("a login")).toMatchObject({ verdict: "fine" });
    expect(findings.get("server")).toMatchObject({ verdict: "unknown" });
    expect(findings.get("clock")).toMatchObject({ verdict: "unknown" });
  }));

test("a clock that is off", () =>
  withServer([], async (server) => {
    // The clock of the machine on which the command runs goes an hour ahead.
    const ahead = "const now = Date.now; Date.now = () => now() + 3_600_000;";
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(ahead)}` };
    const { code, findings } = await doctorIn(env, server);
    expect(code).toBe(1);
    expect(findings.get("clock")).toMatchObject({
      verdict: "doubtful",
      says: expect.stringMatching(/^3[56]\d{5} ms off/),
    });
    expect((await doctor(server)).findings.get("clock")).toMatchObject({ verdict: "fine" });
  }));

async function pidOf(server: Server): Promise<number> {
  return Number(/process_id:(\d+)/.exec(String(await server.command("INFO", "server")))?.[1]);
}

test("a Redis that hangs from the start is no connection, in time", () =>
  withServer([], async (server) => {
    const pid = await pidOf(server);
    process.kill(pid, "SIGSTOP");
    try {
      const { code, stderr } = await command(["doctor"], { cwd, env: { REDIS_URL: server.url } });
      expect(code).toBe(3);
      expect(stderr).toMatch(/no answer within 5 s|ERR_TIMEOUT|did not answer/);
    } finally {
      process.kill(pid, "SIGCONT");
    }
  }));

test("a Redis that hangs while it is looked at is found, in time", () =>
  withServer([], async (server) => {
    const pid = await pidOf(server);
    try {
      const env = { SERVER_PID: String(pid) };
      const { code, findings } = await doctorIn(env, server, "--config", "hanging.mjs");
      expect(code).toBe(1);
      expect(findings.get("latency")).toBeDefined();
      expect([...findings.keys()].at(-1)).toBe("answers");
      expect(findings.get("answers")).toMatchObject({
        verdict: "broken",
        says: expect.stringContaining("INFO"),
      });
    } finally {
      process.kill(pid, "SIGCONT");
    }
  }));

test("who is logged in, and what else is in Redis", () =>
  withServer([], async (server) => {
    const userId = (session: object) => (session as AppSession).user as string | undefined;
    const store = new RedisStore({ client: await connect(6, server.url), userId });
    for (const [sid, user] of [
      ["a", "ada"],
      ["b", "ada"],
      ["c", "bob"],
      ["d", undefined],
    ] as const) {
      await store.set(sid, sessionOf({ user }));
    }
    await server.command("SET", "of another program", "x");
    const { findings } = await doctor(server, "--config", "store.mjs");
    expect(findings.get("users")?.says).toBe("3 sessions are logged in, as 2 users");
    expect(findings.get("sessions")?.says).toMatch(/^4, /);
    // The key of the other program alone never expires.
    const says = findings.get("keys")?.says ?? "";
    const [, all, expiring] = /^(\d+) of sessions and of others, (\d+) of them/.exec(says) ?? [];
    expect(Number(all)).toBeGreaterThanOrEqual(5);
    expect(Number(expiring)).toBe(Number(all) - 1);
  }));

test("sessions that never end, cannot be read, are big, or are in no index", () =>
  withServer([], async (server) => {
    const client = await connect(6, server.url);
    const plain = new RedisStore({ client });
    await plain.set("old", sessionOf({ user: "ada" }));
    await plain.set("big", sessionOf({ fill: "x".repeat(200_000) }));
    await server.command("SET", "sess:endless", JSON.stringify(sessionOf()));
    await server.command("SET", "sess:broken", "not a session");
    // No user that the store would take: it is in no index, and holds up no other check.
    await server.command("SET", "sess:odd", '{"cookie":{},"user":"\\ud800"}');
    const { findings } = await doctor(server, "--config", "store.mjs");
    expect(findings.get("expiry")).toMatchObject({ verdict: "doubtful" });
    expect(findings.get("content")).toMatchObject({ verdict: "broken" });
    expect(findings.get("sizes")).toMatchObject({ verdict: "doubtful" });
    expect(findings.get("index")).toMatchObject({ verdict: "broken" });
    await server.command("DEL", "sess:odd");
    const indexed = new RedisStore({
      client,
      userId: (session) => (session as AppSession).user as string | undefined,
    });
    for await (const { sid, session } of indexed.sessions()) await indexed.set(sid, session);
    const again = await doctor(server, "--config", "store.mjs");
    expect(again.findings.get("index")).toMatchObject({ verdict: "fine" });
  }));

test("a cluster with slots that nobody serves", async () => {
  const cluster = await startCluster();
  try {
    const [node] = cluster.nodes;
    const healthy = await doctor(node as Server, "--cluster");
    const ofPrimaries = [...healthy.findings].filter(([check]) => check.startsWith("cluster of"));
    expect(ofPrimaries).toHaveLength(3);
    for (const [, finding] of ofPrimaries) expect(finding).toMatchObject({ verdict: "fine" });
    for (const one of cluster.nodes)
      await one.command("CONFIG", "SET", "cluster-require-full-coverage", "no");
    for (const one of cluster.nodes) await one.command("CLUSTER", "DELSLOTS", "1").catch(() => {});
    const torn = await doctor(node as Server, "--cluster");
    const verdicts = [...torn.findings].filter(([check]) => check.startsWith("cluster of"));
    expect(verdicts.map(([, { verdict }]) => verdict)).toContain("broken");
  } finally {
    await Promise.all(cluster.nodes.map((one) => one.stop()));
  }
}, 90_000);
