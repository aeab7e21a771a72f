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
 * writes a session announces up to three of them: `new`, `set`, `expire`.
 */
export class KeyspaceReader {
  readonly #emit: (event: SessionEvent, sid: string) => void;
  #created: string | undefined;
  #written: string | undefined;

  constructor(emit: (event: SessionEvent, sid: string) => void) {
    this.#emit = emit;
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
      // What a command announces is sent at once; the expire of a later command comes later.
      setImmediate(() => {
        if (this.#written === sid) this.#written = undefined;
      });
      this.#emit(created === sid ? "created" : "updated", sid);
    } else if (RENEWED.has(event)) {
      if (written !== sid) this.#emit("touched", sid);
    } else if (REMOVED.has(event)) {
      this.#emit("destroyed", sid);
    } else if (event === "expired") {
      this.#emit("expired", sid);
    }
  }
}
