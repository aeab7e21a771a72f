// Writing sessions: saves, renewals, endings.
export { Saver } from "./saver.js";
export type { DiscardReason, SaveResult } from "./step.js";
export { Toucher, type TouchResult } from "./touch.js";
