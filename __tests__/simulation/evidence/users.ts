// Whose sessions are, and which of them an index may lack.
import type { Call, History, Version } from "../history.js";
import { isConfirmed, isRenewal, isUnderWay, isUnknown, LATEST, openCalls } from "./calls.js";
import { isOfALateWrite } from "./changes.js";
import { isPast } from "./lives.js";
import { isWholeOf } from "./wishes.js";

/** Whether a session of nobody has become somebody's under the id that it had, and not by code that loads nothing. */
export function isLoginUnderOldId(history: History, version: Version, before: Version): boolean {
  if (before.places === null || before.user !== undefined || version.user === undefined)
    return false;
  return !openCalls(history, version).some(
    (call) => isWholeOf(history, call, version) || (call.isNew && call.user === version.user),
  );
}

/**
 * Whether somebody is at ending a session of a user while it is listed, or at making it another one's:
 * where it was begun anew meanwhile, its entry is dropped, and made again.
 */
export function isBeingDropped(history: History, sid: string, call: Call): boolean {
  return history.calls.some(
    (other) =>
      other !== call &&
      other.began < (call.ended as number) &&
      isUnderWay(other, call.began) &&
      ((other.sid === sid &&
        (other.what === "destroy" ||
          other.what === "destroyOf" ||
          (other.what === "save" && other.user !== call.user))) ||
        (other.what === "destroyAllOf" && other.user === call.user) ||
        other.what === "clear"),
  );
}

/** Whether a session is a user's, and not over, all the time that a call takes. */
export function isThroughout(history: History, sid: string, user: string, call: Call): boolean {
  const versions = history.during(sid, call.began, call.ended as number);
  return versions.every(
    (version) =>
      version.places !== null && version.user === user && !isPast(history, version, call),
  );
}

/** When a session became a user's, for the last time. */
export function becameOf(
  history: History,
  sid: string,
  user: string,
  until: number,
): Version | undefined {
  const versions = (history.versions.get(sid) ?? []).filter(({ order }) => order < until);
  return versions.findLast(
    (version, index) => version.user === user && versions[index - 1]?.user !== user,
  );
}

/** Whether it was confirmed, before some time, that a session is a user's. */
export function isLoggedIn(history: History, sid: string, user: string, until: number): boolean {
  const became = becameOf(history, sid, user, until);
  if (became === undefined) return false;
  return isSavedBetween(history, sid, user, became.order, until, became.process);
}

/** Whether a save of a user's session was confirmed that had not ended before some time. */
function isSavedBetween(
  history: History,
  sid: string,
  user: string,
  from: number,
  until: number,
  process?: string,
): boolean {
  return history.calls.some(
    (call) =>
      call.sid === sid &&
      call.what === "save" &&
      call.user === user &&
      (process === undefined || call.process === process) &&
      isConfirmed(call) &&
      (call.ended as number) > from &&
      (call.ended as number) < until,
  );
}

/** Whether a touch follows one that has renewed the session and got an error: then it is sent, whatever is remembered. */
function isRenewalAgain(history: History, call: Call): boolean {
  if (call.what !== "touch" || call.isRow || !isRenewal(history, call)) return false;
  const before = history.calls.findLast(
    (other) =>
      other.number < call.number &&
      other.sid === call.sid &&
      other.process === call.process &&
      (other.what === "touch" || other.what === "save"),
  );
  if (before?.what !== "touch" || !isUnknown(before)) return false;
  const { began, ended = call.began } = before;
  if (ended >= call.began) return false;
  return history
    .during(call.sid, began, ended)
    .some(({ process, order }) => process === call.process && order > began && order < ended);
}

/** Why a live session of a user need not be listed, if there is a reason. */
export function whyUnlisted(
  history: History,
  sid: string,
  user: string,
  until: number,
  madeUpUntil = until,
): "the index was lost" | "nobody could write the index" | undefined {
  const versions = (history.versions.get(sid) ?? []).filter(({ order }) => order < until);
  const became = becameOf(history, sid, user, until) as Version;
  const { rules } = history;
  // It has become this user's again by a command that nobody waited for any more.
  if (rules.conflict === "overwrite" && isOfALateWrite(history, became))
    return "nobody could write the index";
  /** A save that began afterwards, and changed something, has written the entry. */
  const isMadeUpFor = (order: number) =>
    history.calls.some(
      (call) =>
        call.sid === sid &&
        call.user === user &&
        call.began > order &&
        isConfirmed(call) &&
        (call.ended as number) < madeUpUntil &&
        ((call.what === "save" && call.wishes.size > 0) || isRenewalAgain(history, call)),
    );
  // A save without an answer has said that the session is coming, and it came later.
  const announced = history.calls.filter(
    (call) =>
      call.sid === sid &&
      call.user === user &&
      call.what === "save" &&
      call.began < became.order &&
      isUnknown(call),
  );
  const since = Math.min(became.order, ...announced.map(({ began }) => began));
  const losses = [
    ...history.losses,
    ...versions.filter(({ why }) => why === "failed over").map(({ order }) => order),
  ].filter((order) => order >= since && order < until);
  if (losses.some((order) => !isMadeUpFor(order))) return "the index was lost";
  const grace = LATEST * history.rules.timeout;
  const isMissed = history.calls.some((call) => {
    if (call.sid !== sid || call.began >= until || call.user !== user) return false;
    if (call.what !== "save" && call.what !== "touch") return false;
    if (isMadeUpFor(call.began)) return false;
    const isDead = isUnderWay(call, until) || history.deaths.has(call.process);
    const isLate = versions.some(
      ({ process, order, time }) =>
        process === call.process && order > call.began && time > call.beganAt + grace,
    );
    return isUnknown(call) && (isDead || isLate);
  });
  return isMissed ? "nobody could write the index" : undefined;
}
