// What happens to sessions, as events.
export { type SessionEventMap, SessionEvents } from "./watch.js";
