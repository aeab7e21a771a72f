import type { TestClient } from "./store.js";

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
  const send = async (command: (string | Buffer)[], options?: object): Promise<unknown> => {
    const fault = self.fate(command);
    if (fault === undefined) return client.sendCommand(command, options);
    // Without the signal by which the store takes back what has not gone out: this has.
    if (fault === "late") {
      late.push(() => client.sendCommand(command, { ...options, abortSignal: undefined }));
    }
    if (fault !== "lose") return never;
    const reply = await client.sendCommand(command, options);
    await new Promise<void>((resolve) => lost.push(resolve));
    return reply;
  };
  const self: FaultyClient = {
    client: new Proxy(client, {
      get(target, name) {
        if (name === "sendCommand") return send;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
    fate: () => undefined,
    arrive: async () => {
      for (const run of late.splice(0)) await run();
    },
    answer: () => {
      for (const give of lost.splice(0)) give();
    },
  };
  return self;
}
