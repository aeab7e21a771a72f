import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Build, build } from "../support/build.js";

const run = promisify(execFile);
const tsc = resolve(__dirname, "../../node_modules/typescript/bin/tsc");

let built: Build;
beforeAll(async () => {
  built = await build();
});
afterAll(() => built?.remove());

const app = `
import { GlideClient, GlideClusterClient } from "@valkey/valkey-glide";
import { Cluster as Cluster6, Redis as Redis6 } from "ioredis";
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5";
import { Cluster as ValkeyCluster, Redis as Valkey } from "iovalkey";
import * as redis6 from "redis";
import * as redis4 from "redis4";
import * as redis5 from "redis5";
import { RedisStore } from "./index.js";

const rootNodes = [{ url: "redis://localhost" }];
const sentinels = { name: "a", sentinelRootNodes: [{ host: "h", port: 1 }] };
const c4 = redis4.createClient();
const s4: RedisStore<typeof c4> = new RedisStore({ client: c4 });
s4.client.get("x");
new RedisStore({ client: redis4.createCluster({ rootNodes }) });
const c5 = redis5.createClient({ RESP: 3 });
new RedisStore({ client: c5 }).client.get("x");
new RedisStore({ client: redis5.createClientPool() });
new RedisStore({ client: redis5.createCluster({ rootNodes }) });
new RedisStore({ client: redis5.createSentinel(sentinels) });
const c6 = redis6.createClient({ RESP: 2 });
new RedisStore({ client: c6 }).client.get("x");
new RedisStore({ client: redis6.createClient().withTypeMapping({ 36: Buffer }) });
new RedisStore({ client: redis6.createClientPool() });
new RedisStore({ client: redis6.createCluster({ rootNodes }) });
new RedisStore({ client: redis6.createSentinel(sentinels) });
new RedisStore({ client: new Redis5() });
new RedisStore({ client: new Cluster5([]) });
new RedisStore({ client: new Redis6() }).client.get("x");
new RedisStore({ client: new Cluster6([]) });
new RedisStore({ client: new Valkey() });
new RedisStore({ client: new ValkeyCluster([]) });
new RedisStore({ client: await GlideClient.createClient({ addresses: [] }) });
new RedisStore({ client: await GlideClusterClient.createClient({ addresses: [] }) });
// What an event tells is known.
s4.on("merged", (sid, kept) => kept.map((place) => place.trim() + sid.trim()));
s4.once("discarded", (_sid, reason) => {
  // @ts-expect-error no such reason
  reason === "mising";
}).off("up", () => {}).addListener("corrupt", (_sid, { code }) => code.trim());
// @ts-expect-error it tells a session id
s4.on("merged", (count: number) => count);
// @ts-expect-error it tells nothing
s4.on("down", (error: Error) => error);
s4.on("an event of the app", (count: number) => count);
const named: string = "down";
s4.on(named, () => {});
// What an inline serializer gets is known.
new RedisStore({
  client: c6,
  serializer: { parse: (text) => JSON.parse(text.trim()), stringify: (one) => JSON.stringify(one) },
});
new RedisStore({
  client: c6,
  serializer: {
    binary: true,
    parse: (bytes) => JSON.parse(bytes.toString("utf8")),
    stringify: async (one) => Buffer.from(JSON.stringify(one)),
  },
});
// @ts-expect-error a promise
new RedisStore({ client: redis6.createClient().connect() });
// @ts-expect-error nothing
new RedisStore({ client: {} });
// @ts-expect-error no client
new RedisStore({ client: new Map() });
`;

test("the published types take every client of every version as it is, checked to the last declaration", async () => {
  await writeFile(join(built.dir, "app.ts"), app);
  const strict = ["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
  const target = [
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--lib",
    "es2023",
    "--types",
    "node",
  ];
  const options = ["--noEmit", "--skipLibCheck", "false", ...strict, ...target];
  const compiling = run(process.execPath, [tsc, ...options, "app.ts"], { cwd: built.dir });
  await expect(compiling.catch(({ stdout }: { stdout: string }) => stdout)).resolves.toMatchObject({
    stdout: "",
  });
});

test("the published types name no client, so that one needs to have only one's own", async () => {
  const names = await readdir(built.dir, { recursive: true });
  const types = names.filter((name) => name.endsWith(".d.ts") && !name.startsWith("node_modules"));
  expect(types.length).toBeGreaterThan(10);
  for (const name of types) {
    const text = await readFile(join(built.dir, name), "utf8");
    expect(text).not.toMatch(/(?:from|import\() ?"(?:redis|ioredis|iovalkey|@redis|@valkey)/);
    expect(text).not.toMatch(/: any\b|<any\b/);
  }
});
