/**
 * Counts the commands that clients send, from `INFO commandstats`.
 *
 * Redis counts what a script calls as if a client had sent it. Each script of this store reads its
 * key once and writes it at most once, and sessions that are known to be loaded are written by
 * scripts alone; so beside scripts one GET for each and all SET and PEXPIRE are not counted.
 */
export class CommandCounter {
  #admin;
  /** @type {Map<string, number>} */
  #before = new Map();
  sent = 0;

  /** @param {{ info(section: string): Promise<unknown> }} admin a client of the bench's own */
  constructor(admin) {
    this.#admin = admin;
  }

  async start() {
    this.#before = await this.#calls();
  }

  async stop() {
    const after = await this.#calls();
    const calls = (/** @type {string} */ name) =>
      (after.get(name) ?? 0) - (this.#before.get(name) ?? 0);
    const scripts = calls("evalsha") + calls("eval");
    const inside = scripts === 0 ? 0 : scripts + calls("set") + calls("pexpire");
    let all = 0;
    for (const name of after.keys()) if (name !== "info") all += calls(name);
    this.sent += all - inside;
  }

  async #calls() {
    /** @type {Map<string, number>} */
    const calls = new Map();
    for (const [, name, count] of String(await this.#admin.info("commandstats")).matchAll(
      /^cmdstat_([^:]+):calls=(\d+)/gm,
    )) {
      calls.set(String(name), Number(count));
    }
    return calls;
  }
}
