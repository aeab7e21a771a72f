export type { Callback } from "./callback.js";
export type { RedisClient } from "./client/detect.js";
export { StoreError, type StoreErrorCode } from "./errors.js";
export type { ListedSession, SessionEntry } from "./listing.js";
export type { ConflictResolver, RedisStoreOptions } from "./options.js";
export type { DiscardReason, SaveResult } from "./saver.js";
export type { BinarySerializer, Serializer, TextSerializer } from "./serializer.js";
export { type DestroyAllOptions, RedisStore, RedisStore as default } from "./store.js";
export type { TouchResult } from "./touch.js";
