// The package as it is imported: the store, its error and the types around it.
export type { DestroyAllOptions, DestroyOptions, PageOptions } from "./arguments.js";
export {
  type Callback,
  type EndingReason,
  type EventMessage,
  type HealthQuestion,
  type OperationMessage,
  type OperationName,
  type Outcome,
  StoreError,
  type StoreErrorCode,
} from "./base/index.js";
export type {
  Adapter,
  KeyPage,
  KeyType,
  Port,
  PortOptions,
  RedisClient,
  Script,
  Size,
  TimeToLive,
} from "./client/index.js";
export type { WhyGone } from "./endings/index.js";
export type { SessionEventMap, SessionEvents } from "./events/index.js";
export type { ConflictResolver, RedisStoreOptions } from "./options.js";
export type { ListedSession, SessionPage } from "./read/index.js";
export type { DiscardReason, SaveResult, TouchResult } from "./save/index.js";
export type {
  BinarySerializer,
  EncryptionOptions,
  Serializer,
  SessionEntry,
  TextSerializer,
  UserSessionEntry,
  Value,
} from "./session/index.js";
export { RedisStore, RedisStore as default } from "./store.js";
export type { Listening, StoreEventMap } from "./store-events.js";
