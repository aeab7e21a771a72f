// Writing sessions: saves, renewals, endings.
export { Saver } from "./saver.js";
export { Toucher, type TouchResult } from "./touch.js";
export type { DiscardReason, SaveResult } from "./writer.js";
