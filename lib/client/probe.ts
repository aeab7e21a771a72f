import { performance } from "node:perf_hooks";
import type { StoreError } from "../errors.js";
import type { Deadline } from "./deadline.js";
import type { Command, Transport } from "./transport.js";

/** For how long a server that owes an answer is not asked again, in ms: the client may have lost the question. */
const PATIENCE = 30_000;

const PING: Command = ["PING"];

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
  /** When the servers that have not answered were asked, by address. */
  readonly #asked = new Map<string, number>();

  constructor(transport: Transport, deadline: Deadline) {
    this.#transport = transport;
    this.#deadline = deadline;
  }

  /** Rejects when none of the servers, or of the primaries of a cluster, has answered in time. */
  async ask(): Promise<void> {
    const { primaries, signs } = this.#transport;
    if (primaries === undefined) {
      const send = (signal: AbortSignal) => this.#transport.send(PING, "", false, signal);
      await this.#ping("", send);
      return;
    }
    const servers =
      signs ?? (await this.#deadline.bound(primaries(), "the question for the primaries", same));
    await Promise.any(servers.map(({ address, send }) => this.#ping(address, () => send(PING))));
  }

  async #ping(address: string, send: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
    const now = performance.now();
    const asked = this.#asked.get(address);
    if (asked !== undefined && now - asked < PATIENCE) throw new Error("asked already");
    this.#asked.set(address, now);
    const abort = new AbortController();
    const answer = send(abort.signal);
    const settled = () => this.#asked.delete(address);
    answer.then(settled, settled);
    await this.#deadline.bound(answer, "PING", (error) => {
      abort.abort();
      return error;
    });
  }
}

function same(error: StoreError): StoreError {
  return error;
}
