// What every wing stands on: errors, callbacks, checks.
export { answer, answerTogether, type Callback } from "./callback.js";
export { isHeard, OPERATIONS, Telling } from "./channels.js";
export {
  Checks,
  flag,
  invalid,
  LONGEST_S,
  seconds,
  secondsOrZero,
  shown,
  text,
  whole,
} from "./check.js";
export { Distinct } from "./distinct.js";
export {
  fromClient,
  isNoScript,
  isRedirect,
  isReply,
  isSilence,
  isSyntaxError,
  neverSent,
  StoreError,
  type StoreErrorCode,
  withoutConnection,
  withoutContent,
} from "./errors.js";
export { Largest } from "./largest.js";
export type {
  EndingReason,
  EventMessage,
  HealthQuestion,
  OperationMessage,
  OperationName,
  Outcome,
} from "./messages.js";
export { assertOptions, unknownNames } from "./names.js";
export { addNewest } from "./oldest.js";
export { Recent } from "./recent.js";
export { codeOf, type Report } from "./report.js";
export { within } from "./within.js";
