// What happens to sessions, as events.
export type { SessionEventMap, SessionEvents } from "./watch.js";
export { Watching } from "./watching.js";
