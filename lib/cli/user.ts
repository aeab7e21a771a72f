// Says whose a session is, by the option `userId` of the app's store.
import type { RedisStoreOptions, SessionEntry } from "../index.js";

/** The option, as it stands in a configuration. */
export type UserOf = RedisStoreOptions["userId"];

/** The user as text; a function of the app that throws says nothing. */
export function userOf({ session }: Pick<SessionEntry, "session">, userId: UserOf) {
  try {
    const user: unknown = userId?.(session);
    if (typeof user === "number") return String(user);
    return typeof user === "string" && user !== "" ? user : undefined;
  } catch {
    return undefined;
  }
}
