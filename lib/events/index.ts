// What happens to sessions, as events.
export type { SessionEventMap, SessionEvents } from "./watch.js";
export { Watcher } from "./watcher.js";
