// Tells `audit` what is done and shown, and waits for it.
import { within } from "../base/index.js";
import type { AuditEntry, ConsoleOptions } from "./options.js";

export class Audit {
  readonly #audit: ConsoleOptions["audit"];
  readonly #timeout: number;
  readonly #warn: (words: string) => void;

  /** @param warn - told in words that `audit` is of no use */
  constructor(
    { audit, timeout }: { audit?: ConsoleOptions["audit"]; timeout: number },
    warn: (words: string) => void,
  ) {
    this.#audit = audit;
    this.#timeout = timeout;
    this.#warn = warn;
  }

  /** Throws where `audit` fails, or takes too long. */
  async hear(entry: AuditEntry): Promise<void> {
    const audit = this.#audit;
    if (audit === undefined) return;
    const heard = (async () => audit(entry))();
    try {
      await within(heard, this.#timeout, "audit()", "ERR_TIMEOUT");
    } catch (error) {
      this.#warn(`audit() failed, or took longer than ${this.#timeout} ms`);
      throw error;
    }
  }
}
