import { performance } from "node:perf_hooks";
import type { TestClient } from "./store.js";
import { through } from "./through.js";

/** A client, and every command that the store gave it. */
export interface Recording {
  readonly client: TestClient;
  /** The oldest first; each its name and its arguments, bytes as text. */
  readonly commands: string[][];
  /** The names of the commands since it was last asked. */
  readonly names: () => string[];
}

/**
 * Writes down what goes to a client on its way there.
 *
 * @param answer - may change what Redis replied
 */
export function record(
  client: TestClient,
  answer: (command: string[], reply: unknown) => unknown = (_, reply) => reply,
): Recording {
  const commands: string[][] = [];
  let told = 0;
  const recorded = through(client, async (command, send) => {
    commands.push(command);
    return answer(command, await send());
  });
  return {
    client: recorded,
    commands,
    names() {
      const names = commands.slice(told).map(([name = ""]) => name);
      told = commands.length;
      return names;
    },
  };
}

/** Sets the time of day for the code under test; Redis goes on with its own. */
export interface Clock {
  now: number;
}

/** A clock that stands still unless a test sets it, until the end of the test. */
export function stopClock(now = Date.now()): Clock {
  const clock = { now };
  jest.spyOn(Date, "now").mockImplementation(() => clock.now);
  const start = clock.now;
  jest.spyOn(performance, "now").mockImplementation(() => clock.now - start);
  return clock;
}
