// Reading sessions: one, many, from memory.
export { type CachingPort, cacheOn } from "./cache.js";
export { type ListedSession, Listing, type SessionPage } from "./listing.js";
export { Reader } from "./reader.js";
