// The index of the sessions of each user.
export type { Membership } from "./membership.js";
export { assertUser, UserIndex } from "./user-index.js";
