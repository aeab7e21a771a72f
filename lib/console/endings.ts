// Ends what a form asks for: hears `audit` before and after, and takes each form once.
import type { DestroyOptions, RedisStore } from "../index.js";
import type { Audit } from "./audit.js";
import { codeOf } from "./failures.js";
import type { Form } from "./form.js";
import type { Names } from "./names.js";
import type { AuditEntry } from "./options.js";
import { Refusal } from "./refusal.js";
import { Used } from "./used.js";
import { counted } from "./words.js";

/** What was ended. */
export interface Ended {
  readonly sessions: number;
  /** Whose they were, where a user's were ended. */
  readonly user: string | undefined;
}

/** What a form asks for. */
interface Task {
  readonly entry: Pick<AuditEntry, "action" | "handle" | "user">;
  run(why: DestroyOptions): Promise<number>;
}

export class Endings {
  readonly #store: RedisStore;
  readonly #names: Names;
  readonly #audit: Audit;
  readonly #used = new Used();
  #remembers: boolean | undefined;

  constructor(store: RedisStore, names: Names, audit: Audit) {
    this.#store = store;
    this.#names = names;
    this.#audit = audit;
  }

  /** @throws Refusal where nothing was ended, or `audit` did not take what was; else what the store threw */
  async end({ of, because }: Form, actor: string): Promise<Ended> {
    const task = this.#taskOf(of);
    const entry = { ...task.entry, actor, ...(because === undefined ? {} : { because }) };
    if (!this.#used.take(of)) {
      throw new Refusal(409, "This form was sent before. Nothing more was ended.");
    }
    try {
      await this.#audit.hear({ ...entry, event: "intent" });
    } catch {
      this.#used.giveBack(of);
      throw new Refusal(503, "audit() failed. Nothing was ended.");
    }
    let sessions: number | undefined;
    let failure: unknown;
    try {
      sessions = await task.run(await this.#noted(because));
    } catch (error) {
      this.#used.giveBack(of);
      failure = error;
    }
    const outcome =
      sessions === undefined ? { error: codeOf(failure) ?? "unknown" } : { ended: sessions };
    try {
      await this.#audit.hear({ ...entry, event: "outcome", ...outcome });
    } catch {
      const what = sessions === undefined ? "That failed" : `${counted(sessions, "session")} ended`;
      throw new Refusal(500, `${what}, and audit() did not take the outcome.`);
    }
    if (sessions === undefined) throw failure;
    return { sessions, user: entry.user };
  }

  /** @throws Refusal for what is no form of this console, or over an hour old */
  #taskOf(of: string): Task {
    const store = this.#store;
    const sid = this.#names.open("endOne", of) as string | undefined;
    if (sid !== undefined) {
      const entry = { action: "end", handle: store.handleOf(sid) } as const;
      return { entry, run: (why) => store.destroy(sid, why) };
    }
    type Others = readonly [user: string, except: string];
    const others = this.#names.open("endOthers", of) as Others | undefined;
    if (others !== undefined) {
      const [user, except] = others;
      const entry = { action: "endOthers", user, handle: store.handleOf(except) } as const;
      return { entry, run: (why) => store.destroyAllOf(user, { ...why, except }) };
    }
    const user = this.#names.opened<string>("endAll", of);
    return { entry: { action: "endAll", user }, run: (why) => store.destroyAllOf(user, why) };
  }

  /** The reason for the store, where it remembers reasons; `audit` hears it in any case. */
  async #noted(because: string | undefined): Promise<DestroyOptions> {
    if (because === undefined) return {};
    try {
      if (this.#remembers === undefined) await this.#store.whyGone({ handle: "" });
      this.#remembers ??= true;
    } catch (error) {
      if (codeOf(error) !== "ERR_INVALID_OPTION") throw error;
      this.#remembers = false;
    }
    return this.#remembers ? { because } : {};
  }
}
