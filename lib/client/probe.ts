// Asks a silent server for a sign of life.
import { performance } from "node:perf_hooks";
import type { Deadline } from "./deadline.js";
import { type Command, type Transport, Wait } from "./transport.js";

/** For how long a server that owes an answer is not asked again, in ms: the client may have lost the question. */
const PATIENCE = 30_000;

const PING: Command = ["PING"];

/** A ping that the server owes an answer. */
interface Ping {
  readonly asked: number;
  /** Its answer, or an error from when it was late. */
  readonly inTime: Promise<unknown>;
}

/**
 * Asks Redis for any answer.
 *
 * A server that has not answered a ping yet gets no second one. A client notices a half-open
 * connection by nothing happening on it (the `socketTimeout` of node-redis), and a write is
 * something that happens; the answer of a server that was only frozen still comes.
 */
export class Probe {
  readonly #transport: Transport;
  readonly #deadline: Deadline;
  /** The pings that have not been answered, by address. */
  readonly #open = new Map<string, Ping>();

  constructor(transport: Transport, deadline: Deadline) {
    this.#transport = transport;
    this.#deadline = deadline;
  }

  /** Rejects when none of the servers, or of the primaries of a cluster, has answered in time. */
  async ask(): Promise<void> {
    const { primaries, signs } = this.#transport;
    if (primaries === undefined) {
      const send = (wait: Wait) => this.#transport.send(PING, "", false, wait);
      await this.#ping("", send);
      return;
    }
    const servers =
      signs ?? (await this.#deadline.bound(primaries(), "the question for the primaries"));
    await Promise.any(servers.map(({ address, send }) => this.#ping(address, () => send(PING))));
  }

  #ping(address: string, send: (wait: Wait) => Promise<unknown>): Promise<unknown> {
    const now = performance.now();
    const open = this.#open.get(address);
    if (open !== undefined && now - open.asked < PATIENCE) return open.inTime;
    const wait = new Wait();
    const answer = send(wait);
    const inTime = this.#deadline.bound(answer, "PING", () => ({ isUnsent: !wait.end() }));
    this.#open.set(address, { asked: now, inTime });
    const settled = () => this.#open.delete(address);
    answer.then(settled, settled);
    return inTime;
  }
}
