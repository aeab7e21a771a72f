// What the command writes and asks: data to stdout, words to stderr.
import type { ReadStream, WriteStream } from "node:tty";

/** The part of `process` that the command uses. */
export interface Surroundings {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
  cwd(): string;
  exit(code: number): never;
  on(event: "SIGINT", listener: () => void): unknown;
}

/** A colour by its number in SGR. */
export type Colour = "red" | "green" | "yellow" | "dim" | "bold";

const SGR: Record<Colour, number> = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 };

/** How long a task runs before its progress is shown, in ms; and how often it is. */
const PATIENCE = 1000;
const EVERY = 100;

/** What the shell calls a process that Ctrl-C has ended. */
const INTERRUPTED = 130;

/** The two streams of the command, its questions and its progress. */
export class Console {
  readonly #around: Surroundings;
  readonly #begin = Date.now();
  #shown = 0;
  #hasLine = false;

  constructor(around: Surroundings) {
    this.#around = around;
    // A reader that has seen enough, as `head`, is no error.
    const closed = (error: NodeJS.ErrnoException) => around.exit(error.code === "EPIPE" ? 0 : 4);
    around.stdout.on("error", closed);
    around.stderr.on("error", closed);
    around.on("SIGINT", () => this.#interrupt());
  }

  get env(): NodeJS.ProcessEnv {
    return this.#around.env;
  }

  get folder(): string {
    return this.#around.cwd();
  }

  /** Whether data goes to somebody who reads it on a screen. */
  get isShown(): boolean {
    return Boolean(this.#around.stdout.isTTY);
  }

  /** Whether somebody is there who can answer. */
  get canAsk(): boolean {
    const { stdin, stderr } = this.#around;
    return Boolean((stdin as ReadStream).isTTY && (stderr as WriteStream).isTTY);
  }

  /** A line of data. Waits for a slow reader, so that memory is bounded. */
  async put(line: string): Promise<void> {
    this.#clear();
    const { stdout } = this.#around;
    if (!stdout.write(`${line}\n`)) await new Promise((resolve) => stdout.once("drain", resolve));
  }

  /** A line of words. */
  say(line: string): void {
    this.#clear();
    this.#around.stderr.write(`${line}\n`);
  }

  /** Shows how far a long task is, on a terminal, once it takes more than a second. */
  progress(line: () => string): void {
    const now = Date.now();
    const { stderr } = this.#around;
    if (!stderr.isTTY || now - this.#begin < PATIENCE || now - this.#shown < EVERY) return;
    this.#shown = now;
    this.#hasLine = true;
    stderr.write(`\r\x1b[K${line()}`);
  }

  /** Asks a question that is answered by `y` or not at all. */
  async confirm(question: string): Promise<boolean> {
    this.#clear();
    const { stdin, stderr } = this.#around;
    const { createInterface } = await import("node:readline/promises");
    const lines = createInterface({ input: stdin, output: stderr });
    lines.on("SIGINT", () => this.#interrupt());
    try {
      return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
    } finally {
      lines.close();
    }
  }

  /** What came on the standard input, for secrets that no argument may hold. */
  async read(): Promise<string> {
    let text = "";
    for await (const part of this.#around.stdin.setEncoding("utf8")) text += part;
    return text.trim();
  }

  /** A text for people, in colour where that is wanted and shown. */
  paint(colour: Colour, text: string): string {
    const { stdout, env } = this.#around;
    return stdout.isTTY && !env.NO_COLOR ? `\x1b[${SGR[colour]}m${text}\x1b[0m` : text;
  }

  /** Ends the process when all is written. */
  leave(code: number): void {
    this.#clear();
    this.#around.stdout.write("", () => this.#around.exit(code));
  }

  #interrupt(): never {
    this.#clear();
    return this.#around.exit(INTERRUPTED);
  }

  #clear(): void {
    if (this.#hasLine) this.#around.stderr.write("\r\x1b[K");
    this.#hasLine = false;
  }
}
