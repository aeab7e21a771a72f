import { type ChildProcess, spawn } from "node:child_process";
import { cp, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Build, build } from "./build.js";
import { type Server, startServer } from "./servers.js";
import { until } from "./store.js";

/** An example that runs. */
interface Example {
  /** What it has printed. */
  readonly lines: string[];
  /** Where it listens. */
  readonly at: string;
}

/** The examples of a folder, and the server that they run with; it is empty before each test. */
export interface Examples {
  /**
   * Starts one; it ends with the test.
   *
   * @param ready - what one of its lines looks like when it has begun
   */
  start(name: string, ready?: RegExp): Promise<Example>;
  server(): Server;
}

/** Runs the examples of a folder of `examples/`, with the library as it is now. */
export function examplesOf(folder: string): Examples {
  let built: Build;
  let server: Server;
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    [built, server] = await Promise.all([build(), startServer()]);
    // The examples import the package by its name.
    const exports = {
      ".": "./index.js",
      "./bearer": "./bearer/bearer.js",
      "./metrics": "./metrics/index.js",
    };
    const self = { name: "redis-session-store", type: "module", exports };
    await writeFile(join(built.dir, "package.json"), JSON.stringify(self));
    const source = resolve(__dirname, "../../examples");
    await cp(source, join(built.dir, "examples"), { recursive: true });
  });
  afterAll(() => Promise.allSettled([server?.stop(), built?.remove()]));
  beforeEach(() => server.command("FLUSHALL"));
  afterEach(() => {
    for (const child of children.splice(0)) child.kill();
  });

  return {
    server: () => server,
    async start(name, ready = /^listening on /) {
      const child = spawn(process.execPath, [join(built.dir, "examples", folder, name)], {
        env: {
          ...process.env,
          REDIS_URL: server.url,
          PORT: "0",
          METRICS_PORT: "0",
          SESSION_SECRET: "0123456789abcdef0123456789abcdef",
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      children.push(child);
      const lines: string[] = [];
      const errors: string[] = [];
      createInterface(child.stdout).on("line", (line) => lines.push(line));
      createInterface(child.stderr).on("line", (line) => errors.push(line));
      const first = () => lines.find((line) => ready.test(line));
      await until(() => first() !== undefined || child.exitCode !== null);
      if (child.exitCode !== null) throw new Error(`${name} has ended: ${errors.join("\n")}`);
      return { lines, at: (first() ?? "").replace("listening on ", "") };
    },
  };
}
