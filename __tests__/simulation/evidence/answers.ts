// What calls may answer, and in what time.

import { shownAnswer, shownCall } from "../actors.js";
import type { Call, History, Version } from "../history.js";
import { isRepeated, isUnknown } from "./calls.js";

/** How many times `timeout` a call may take: it is what one round trip may. */
export function boundOf({ what }: Call): number {
  if (what === "get") return 3;
  return what === "save" || what === "touch" || what === "destroy" ? 16 : 60;
}

/** Whether a session was changed as often as a save says that was told of a conflict, but for the first try. */
export function isContended(history: History, call: Call): boolean {
  const { what, tries = 0, sid, began, ended } = call;
  if (what !== "save" && what !== "touch") return true;
  const changes = history.during(sid, began, ended as number).filter(({ order }) => order > began);
  return changes.length >= tries - 1;
}

/** Whether others have written a session, or may have, so that a save found something else than it had left. */
export function isOthersToo(history: History, call: Call): boolean {
  const { sid, object, number, process } = call;
  const ended = call.ended as number;
  return (
    isRepeated(history, call) ||
    history.during(sid, 0, ended).some(({ why }) => why === "failed over") ||
    history.calls.some(
      (other) =>
        other.sid === sid &&
        other.began < ended &&
        (other.what === "save" || other.what === "touch") &&
        (other.object !== object ||
          other.process !== process ||
          (other.number < number && isUnknown(other))),
    )
  );
}

/** Whether a session cannot be stored: no serializer takes it, its serializer failed, or it is a login that needs a new id. */
export function isUnfit(history: History, call: Call): boolean {
  const { refusals, rules, calls } = history;
  if (call.isSpoilt) return true;
  const ended = call.ended as number;
  const hasFailed = refusals.some(
    ({ process, order }) => process === call.process && order > call.began && order < ended,
  );
  // A slow serializer of a process that stands still takes too long.
  const took = (call.endedAt as number) - call.beganAt;
  if (hasFailed || took >= rules.timeout) return true;
  if (!rules.requireNewId || call.user === undefined) return false;
  // Whose it may have been: as it was confirmed last, or as it was tried since.
  const tried = calls.filter(
    (other) => other.object === call.object && other.what === "save" && other.number < call.number,
  );
  return (
    (!call.isNew && call.userBefore === undefined) ||
    tried.some((other) => isUnknown(other) && other.user === undefined)
  );
}

/** For how long its process was stopped during a call, in ms. */
export function stoppedDuring({ stops }: History, call: Call): number {
  return stops
    .filter(
      ({ process, until, from }) =>
        process === call.process && until > call.beganAt && from < (call.endedAt as number),
    )
    .reduce((sum, { from, until }) => sum + until - from, 0);
}

export function shown(call: Call): string {
  const answer = call.ended === undefined ? "" : ` and was told ${shownAnswer(call)}`;
  return `${call.actor} on ${call.process} ${shownCall(call)}${answer}`;
}

export function when(version: Version): string {
  return `at ${version.time % 1_000_000}, by ${version.process ?? "the server"}`;
}
