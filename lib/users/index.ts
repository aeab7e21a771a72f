// The index of the sessions of each user.
export type { Membership } from "./membership.js";
export { UserIndex, userNamed } from "./user-index.js";
