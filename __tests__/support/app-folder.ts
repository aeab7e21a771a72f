import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { compiled } from "./compiled.js";

const root = resolve(__dirname, "../..");

/** The package as npm installs it, both forms compiled from lib/ as it is now; and apps that use it. */
export interface Packed {
  /**
   * Makes a folder for an app.
   *
   * @param files - the text of each file
   * @param modules - what it can import, and which installed package that is
   * @returns its path
   */
  app(files: Record<string, string>, modules: Record<string, string>): Promise<string>;
  remove(): Promise<void>;
}

export async function pack(): Promise<Packed> {
  const dir = await mkdtemp(join(tmpdir(), "redis-session-store-apps-"));
  const dist = join(dir, "package", "dist");
  for (const form of ["esm", "cjs"] as const) {
    cpSync(await compiled(form), join(dist, form), { recursive: true });
  }
  writeFileSync(join(dist, "cjs", "package.json"), '{ "type": "commonjs" }');
  cpSync(join(root, "package.json"), join(dir, "package", "package.json"));
  let apps = 0;
  return {
    async app(files, modules) {
      const at = join(dir, `app-${apps++}`);
      const installed = join(at, "node_modules");
      mkdirSync(installed, { recursive: true });
      cpSync(join(dir, "package"), join(installed, "redis-session-store"), { recursive: true });
      const needed = { "express-session": "express-session", "lru-cache": "lru-cache" };
      for (const [name, target] of Object.entries({ ...needed, ...modules })) {
        const link = join(installed, name);
        mkdirSync(dirname(link), { recursive: true });
        symlinkSync(join(root, "node_modules", target), link);
      }
      for (const [name, text] of Object.entries(files)) writeFileSync(join(at, name), text);
      return at;
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

/** A program that runs and has said where it listens. */
export interface Started {
  readonly url: string;
  stop(): Promise<void>;
}

/** Runs a program of Node that prints a line with its address once it listens. */
export async function start(
  file: string,
  env: Record<string, string>,
  args: readonly string[] = [],
): Promise<Started> {
  const child: ChildProcess = spawn(process.execPath, [...args, file], {
    cwd: dirname(file),
    env: { ...process.env, NODE_ENV: "test", PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stderr?.on("data", (chunk) => {
    output += String(chunk);
  });
  const exit = once(child, "exit");
  const line = await new Promise<string>((found, failed) => {
    createInterface(child.stdout as NodeJS.ReadableStream).on("line", (text) => {
      if (/http:\/\//.test(text)) found(text);
      else output += `${text}\n`;
    });
    exit.then(
      ([code]) => failed(new Error(`${file} ended with ${code}:\n${output}`)),
      (error: Error) => failed(error),
    );
  });
  return {
    url: /http:\/\/\S+/.exec(line)?.[0] ?? "",
    async stop() {
      child.kill();
      await exit;
    },
  };
}

/** A browser: keeps its cookies, over all servers of one host. */
export class Browser {
  readonly #cookies = new Map<string, string>();
  readonly #headers: Record<string, string>;

  constructor(headers: Record<string, string> = {}) {
    this.#headers = headers;
  }

  /** What `Cookie` says. */
  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  async fetch(url: string, options: RequestInit = {}): Promise<Response> {
    const response = await fetch(url, {
      redirect: "manual",
      ...options,
      headers: { ...this.#headers, ...(options.headers as object), cookie: this.cookie },
    });
    for (const line of response.headers.getSetCookie()) {
      const [name = "", value = ""] = (line.split(";")[0] ?? "").split("=", 2);
      this.#cookies.set(name, value);
    }
    return response;
  }

  async get(url: string): Promise<string> {
    return (await this.fetch(url)).text();
  }

  async post(url: string, fields: Record<string, string> = {}): Promise<string> {
    const response = await this.fetch(url, { method: "POST", body: new URLSearchParams(fields) });
    return response.text();
  }
}
