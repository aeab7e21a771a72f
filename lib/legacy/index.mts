// The entry point for import.
import { createRequire } from "node:module";
import { legacyWith } from "./legacy.js";

export type {
  LegacyFactory,
  LegacyOptions,
  LegacySession,
  LegacyStore,
  LegacyStoreClass,
} from "./legacy.js";

/** The factory of connect-redis 1 to 6: takes express-session, gives the class of the store. */
const legacy = legacyWith(createRequire(import.meta.url));
export default legacy;
