// The entry point for require.
import core = require("./legacy.js");

/** The factory of connect-redis 1 to 6: takes express-session, gives the class of the store. */
const legacy = core.legacyWith(require);

declare namespace legacy {
  type LegacyFactory = core.LegacyFactory;
  type LegacyOptions = core.LegacyOptions;
  type LegacySession = core.LegacySession;
  type LegacyStore = core.LegacyStore;
  type LegacyStoreClass = core.LegacyStoreClass;
}

export = legacy;
