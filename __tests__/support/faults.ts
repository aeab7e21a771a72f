import type { TestClient } from "./store.js";
import { through } from "./through.js";

/**
 * What becomes of a command: `lose`: it is executed and its answer never comes; `drop`: it never
 * reaches Redis; `late`: it is executed when the test says so, and its answer never comes.
 */
export type Fault = "lose" | "drop" | "late";

/** A client over which commands have the fate that a test chooses. */
export interface FaultyClient {
  readonly client: TestClient;
  /** Names the fault of a command; `undefined`: none. */
  fate: (command: readonly (string | Buffer)[]) => Fault | undefined;
  /** Executes what is late, in the order in which it was sent. */
  arrive(): Promise<void>;
  /** Gives the answers that were lost. */
  answer(): void;
}

const WRITES = new Set(["SET", "EVALSHA", "EVAL", "DEL", "UNLINK", "PEXPIRE"]);

/** The fate of every write, and of no read. */
export function writes(fault: Fault): FaultyClient["fate"] {
  return ([name]) => (WRITES.has(String(name)) ? fault : undefined);
}

/** A client of node-redis whose commands may fail without an answer. */
export function faulty(client: TestClient): FaultyClient {
  const late: (() => Promise<unknown>)[] = [];
  const lost: (() => void)[] = [];
  const never = new Promise(() => {});
  const self: FaultyClient = {
    client: through(client, async (command, send, words) => {
      const fault = self.fate(command);
      if (fault === undefined) return send();
      // As it is now, and without the signal: what has gone out the store cannot take back.
      if (fault === "late") late.push(() => send({ abortSignal: undefined }, words));
      if (fault !== "lose") return never;
      const reply = await send();
      await new Promise<void>((resolve) => lost.push(resolve));
      return reply;
    }),
    fate: () => undefined,
    arrive: async () => {
      // A refusal is nobody's any more.
      for (const run of late.splice(0)) await run().catch(() => {});
    },
    answer: () => {
      for (const give of lost.splice(0)) give();
    },
  };
  return self;
}
