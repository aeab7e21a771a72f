// Reads the command line, runs one part of the command and tells how it went.
import { parseArgs } from "node:util";
import type { Console } from "./console.js";
import { type ExitCode, exitCodeOf, usage } from "./failure.js";
import { HELP } from "./help.js";
import type { Arguments, Part } from "./part.js";
import { escaped } from "./text.js";

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

const COMMON = {
  url: text,
  cluster: flag,
  config: text,
  prefix: text,
  json: flag,
  help: flag,
};

/**
 * The parts: what runs, which options it has beside the common ones, how many handles it takes. Each is
 * loaded when it is asked for: `--help` waits for none of them.
 */
const PARTS = {
  doctor: { load: async () => (await import("./doctor.js")).doctor, options: {}, most: 0 },
  list: {
    load: async () => (await import("./list.js")).list,
    options: { user: text, limit: text, largest: text },
    most: 0,
  },
  show: {
    load: async () => (await import("./show.js")).show,
    options: { user: text, values: flag },
    most: 1,
  },
  end: {
    load: async () => (await import("./end.js")).end,
    options: {
      user: text,
      except: { type: "string", multiple: true },
      all: flag,
      because: text,
      yes: flag,
    },
    most: 1000,
  },
  why: { load: async () => (await import("./why.js")).why, options: {}, most: 1 },
  migrate: { load: async () => (await import("./migrate.js")).migrate, options: {}, most: 0 },
} as const satisfies Record<string, { load(): Promise<Part>; options: object; most: number }>;

/** Runs the command; the exit code. What goes wrong is a sentence on stderr. */
export async function main(args: readonly string[], terminal: Console): Promise<ExitCode> {
  try {
    return await run(args, terminal);
  } catch (error) {
    terminal.say(`redis-session-store: ${escaped((error as Error).message)}`);
    return exitCodeOf(error);
  }
}

async function run([name = "", ...rest]: readonly string[], terminal: Console): Promise<ExitCode> {
  if (name === "" || name === "--help" || name === "-h" || name === "help") {
    await terminal.put(HELP[rest[0] ?? ""] ?? (HELP[""] as string));
    return name === "" ? 2 : 0;
  }
  if (!Object.hasOwn(PARTS, name)) throw usage(`there is no "${name}"; see --help`);
  const part = PARTS[name as keyof typeof PARTS];
  const { values, positionals } = parsed(rest, { ...COMMON, ...part.options });
  if (values.help) {
    await terminal.put(HELP[name] as string);
    return 0;
  }
  if (positionals.length > part.most) {
    throw usage(
      `${name} takes ${part.most === 0 ? "no handle" : "one handle"}; see ${name} --help`,
    );
  }
  const given: Arguments = {
    handles: positionals,
    json: values.json === true,
    user: values.user as string | undefined,
    except: (values.except as string[] | undefined) ?? [],
    limit: countOf("--limit", values.limit as string | undefined),
    largest: countOf("--largest", values.largest as string | undefined),
    values: values.values === true,
    all: values.all === true,
    because: values.because as string | undefined,
    yes: values.yes === true,
  };
  const where = {
    url: values.url as string | undefined,
    cluster: values.cluster === true,
    config: values.config as string | undefined,
    prefix: values.prefix as string | undefined,
  };
  for (const option of ["user", "because"] as const) {
    if (given[option] !== undefined && !where.config) throw needsConfig(`--${option}`);
  }
  if ((name === "migrate" || name === "why") && !where.config) throw needsConfig(name);
  const { connect } = await import("./connect.js");
  const runPart = await part.load();
  return runPart(await connect(where, terminal), given, terminal);
}

function parsed(args: readonly string[], options: Record<string, { type: "string" | "boolean" }>) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true }) as {
      values: Record<string, unknown>;
      positionals: string[];
    };
  } catch (error) {
    throw usage((error as Error).message.replace(/\. To specify.*$/s, "."));
  }
}

function countOf(option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1) {
    throw usage(`${option} takes a whole number from 1 on`);
  }
  return count;
}

function needsConfig(what: string): Error {
  return usage(`${what} needs --config FILE, a module with the options of the app's store`);
}
