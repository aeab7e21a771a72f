// Makes events of sessions out of keyspace notifications.
/** What can happen to a session, whoever did it. */
export type SessionEvent = "created" | "updated" | "touched" | "destroyed" | "expired";

/**
 * The letters of the setting `notify-keyspace-events` that are needed: keyspace events (K) of
 * generic commands (g), of strings ($), of expiry (x) and of eviction (e).
 *
 * Source: https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/
 */
export const NEEDED = "Kg$xe";

/** The letter for new keys, since Redis 7: without it a session that is created looks updated. */
export const NEW_KEYS = "n";

/** What `A` stands for; neither new keys nor missed ones. */
const ALL = "g$lshzxetd";

/** Those of the letters `wanted` that a setting lacks. */
export function lacking(setting: string, wanted: string): string {
  const whole = setting.includes("A") ? setting + ALL : setting;
  return wanted.replace(/./g, (letter) => (whole.includes(letter) ? "" : letter));
}

const WRITTEN = new Set([
  "set",
  "append",
  "setrange",
  "incrby",
  "incrbyfloat",
  "restore",
  "rename_to",
  "copy_to",
]);
const RENEWED = new Set(["expire", "persist"]);
const REMOVED = new Set(["del", "evicted", "rename_from", "move_from"]);

/**
 * Makes events of sessions out of the keyspace events that one connection receives. A command that
 * writes a session announces up to three of them: `new`, `set`, `expire`. A renewal within a round
 * trip after a write of the same session cannot be told from that, and is no event of its own.
 */
export class KeyspaceReader {
  readonly #emit: (event: SessionEvent, sid: string) => void;
  readonly #settled: () => Promise<unknown>;
  #created: string | undefined;
  #written: string | undefined;

  /** How many writes were told of. */
  #writes = 0;
  #isWaiting = false;

  /**
   * @param settled - settles when everything has arrived that was sent when it was called: what one
   *   command announces is sent at once, but may come in two pieces
   */
  constructor(emit: (event: SessionEvent, sid: string) => void, settled: () => Promise<unknown>) {
    this.#emit = emit;
    this.#settled = settled;
  }

  /** @param event - what Redis calls it */
  read(sid: string, event: string): void {
    const created = this.#created;
    const written = this.#written;
    this.#created = undefined;
    this.#written = undefined;
    if (event === "new") {
      this.#created = sid;
    } else if (WRITTEN.has(event)) {
      this.#written = sid;
      this.#writes++;
      this.#forgetLater();
      this.#emit(created === sid ? "created" : "updated", sid);
    } else if (RENEWED.has(event)) {
      if (written !== sid) this.#emit("touched", sid);
    } else if (REMOVED.has(event)) {
      this.#emit("destroyed", sid);
    } else if (event === "expired") {
      this.#emit("expired", sid);
    }
  }
  /** Forgets what was written last, when the expire of the same command must have come. */
  #forgetLater(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const writes = this.#writes;
    const forget = () => {
      this.#isWaiting = false;
      if (this.#writes === writes) this.#written = undefined;
      else if (this.#written !== undefined) this.#forgetLater();
    };
    this.#settled().then(forget, forget);
  }
}
