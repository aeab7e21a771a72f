import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** What a run of the command gave. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where and with what the command runs. */
export interface Setting {
  /** The folder of the app. */
  readonly cwd: string;
  readonly env?: Record<string, string>;
  readonly input?: string;
}

/** Runs the installed command as a child process, on no terminal. */
export async function command(args: readonly string[], setting: Setting): Promise<Ran> {
  const child = spawnCommand(args, setting);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (part) => {
    stdout += String(part);
  });
  child.stderr.on("data", (part) => {
    stderr += String(part);
  });
  child.stdin.end(setting.input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** The command as it runs. */
export function spawnCommand(args: readonly string[], { cwd, env = {} }: Setting) {
  return spawn(process.execPath, [entry(cwd), ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: "1", REDIS_URL: "", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Runs the command on a pseudo-terminal, and answers its question. */
export async function onTerminal(
  args: readonly string[],
  { cwd, env = {} }: Setting,
  answer: string,
): Promise<{ code: number | null; screen: string }> {
  const line = [process.execPath, entry(cwd), ...args].map(quoted).join(" ");
  const child = spawn("script", ["-qec", line, "/dev/null"], {
    cwd,
    env: { ...process.env, TERM: "xterm", REDIS_URL: "", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let screen = "";
  let isAnswered = false;
  child.stdin.on("error", () => {});
  child.stdout.on("data", (part) => {
    screen += String(part);
    if (isAnswered || !screen.includes("[y/N]")) return;
    isAnswered = true;
    child.stdin.write(`${answer}\n`);
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, screen };
}

function entry(cwd: string): string {
  return join(cwd, "node_modules/redis-session-store/dist/esm/cli/index.js");
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
