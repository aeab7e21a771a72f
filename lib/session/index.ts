// What a session is, without Redis.
export { type CookieSettings, sameSettings } from "./cookie.js";
export { type EncryptionOptions, keyringOf } from "./encryption.js";
export type { SessionEntry, Stored, UserSessionEntry } from "./entry.js";
export {
  type ExpiryRules,
  hasDeadline,
  isOver,
  type Lifetime,
  lifetime,
  pxOf,
  refreshExpires,
} from "./expiry.js";
export { handleOf } from "./handle.js";
export type { Keyring, Refusal } from "./keyring.js";
export { assertSid, isWellFormed, patternOf, shortSid } from "./keys.js";
export { hasLanded } from "./landed.js";
export {
  type CookieSeen,
  cookieOf,
  cookieSeen,
  type Held,
  isRedated,
  isWhole,
  type Listed,
  type Loaded,
  LoadedSessions,
  loadedOf,
  NONE,
  type Unanswered,
} from "./loaded.js";
export { type MergeReport, merge, reportMerge, sameSession } from "./merge.js";
export { Records, type SessionRecord, type Text } from "./record.js";
export { Renewals } from "./renewals.js";
export { Rows } from "./rows.js";
export {
  type BinarySerializer,
  copyOf,
  isThenable,
  type Serializer,
  type TextSerializer,
} from "./serializer.js";
export type { Tree } from "./trees.js";
export { sameValue, type Value } from "./value.js";
export { hiddenKeys, type Inflate, type Version, Versions } from "./version.js";
