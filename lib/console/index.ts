// Entry point of redis-session-store/console: pages that show the sessions of a store and end them.
export { type ConsoleHandler, sessionConsole } from "./console.js";
export type { Access, AuditEntry, ConsoleOptions } from "./options.js";
