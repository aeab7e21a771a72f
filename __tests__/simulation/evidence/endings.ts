// What ended sessions, and what came after that.
import { type Call, type History, samePlaces, type Version } from "../history.js";
import { callsFor, firstOf, isAskedToEnd, isOpen, isUnderWay, isUnknown, LATEST } from "./calls.js";
import { isOfALateWrite, type Transition } from "./changes.js";
import { isOneTooMany } from "./limits.js";
import { isPast, limitOf } from "./lives.js";

/** By so much a life may be over sooner than the server thinks, by a clock that was set, in ms. */
const SKEW = 500;

/** The calls that may make a session, and make it what a version is. */
export function makersOf(history: History, version: Version): Call[] {
  return callsFor(history, version).filter(
    (call) => call.what === "save" && call.isNew && samePlaces(call.places, version.places),
  );
}

/** Whether the session that a call makes was ended after the call began. */
export function wasEnded(history: History, call: Call, order: number): boolean {
  const versions = history.during(call.sid, call.began, order - 1);
  // What ends a session and was asked for before is done before.
  const isEarlier = (version: Version) =>
    history.calls.some(
      (other) =>
        other.what === "destroy" &&
        other.sid === call.sid &&
        other.process === call.process &&
        version.process === call.process &&
        other.began < call.began &&
        isUnderWay(other, version.order),
    );
  return versions.slice(1).some((version) => version.why === "removed" && !isEarlier(version));
}

/**
 * Whether the process that ended a session has ended it again, which a late command had made anew:
 * it looks once, a while after it got its answer, and leaves alone what others have written since.
 */
export function isLaidToRest(history: History, version: Version): boolean {
  const { sid, process, order, time, text } = version;
  const grace = LATEST * history.rules.timeout;
  const maker = makersOf(history, version).at(-1);
  if (maker === undefined) return false;
  const logout = history.calls.findLast(
    (call) =>
      call.what === "destroy" &&
      call.sid === sid &&
      call.process === process &&
      call.store === maker.store &&
      call.error === undefined &&
      call.ended !== undefined &&
      call.ended < order,
  );
  if (logout === undefined || history.deaths.has(process as string)) return true;
  if (time > (logout.endedAt as number) + grace) return true;
  const later = history.during(sid, order, Number.POSITIVE_INFINITY);
  return later.some((each) => each.text !== text);
}

/** Whether what is changed was made by a late command, and is ended again. */
export function isOfALateCreation(history: History, { before, index, all }: Transition): boolean {
  const isMade = (all[index - 2]?.places ?? null) === null;
  return isMade && isOfALateWrite(history, before) && isLaidToRest(history, before);
}

/** The last logout of a session by a store before it was asked for something else. */
export function endingBefore(history: History, call: Call): Call | undefined {
  return history.calls.findLast(
    (other) =>
      other.what === "destroy" &&
      other.sid === call.sid &&
      other.process === call.process &&
      other.store === call.store &&
      (other.ended ?? call.began) < call.began,
  );
}

/** Whether a session may be there after a logout: made anew by whomever, be it late, or by a failover. */
export function isMadeAfter(history: History, logout: Call): boolean {
  const isMade = history.calls.some(
    (call) => call.isNew && call.sid === logout.sid && isOpen(history, call, logout.began),
  );
  const later = history.during(logout.sid, logout.began, Number.POSITIVE_INFINITY);
  const isBorn = later.some(
    ({ places }, index) => index > 0 && places !== null && later[index - 1]?.places === null,
  );
  return isMade || isBorn || later.slice(1).some(({ why }) => why === "failed over");
}

/** Whether a session was gone, over, or by others another user's, at some time during a call. */
export function isGone(history: History, call: Call): boolean {
  const isDoomed = history.calls.some(
    (other) =>
      other.what === "destroy" &&
      other.sid === call.sid &&
      other.process === call.process &&
      other.began < (call.ended as number) &&
      other.error !== undefined,
  );
  if (isDoomed) return true;
  // What was never there is not gone, unless it was ended or its time is over.
  const since = call.isNew ? firstOf(history, call) : undefined;
  if (since && (isEndedSince(history, call, since) || isOverSince(history, call, since)))
    return true;
  const versions = history.during(call.sid, call.began, call.ended as number);
  const isNoMore = versions.some(
    (version) =>
      (version.places === null && (since === undefined || version.order > since.began)) ||
      isPast(history, version, call) ||
      isOfOthers(history, version, call),
  );
  return isNoMore || isOneTooMany(history, call.sid, call.user, call.ended as number);
}

/** Whether somebody asked to end a session after the first save of its object had begun. */
function isEndedSince({ calls }: History, call: Call, first: Call): boolean {
  return calls.some(
    (other) =>
      other.began < (call.ended as number) &&
      (other.ended === undefined || other.ended > first.began) &&
      ((other.sid === call.sid && (other.what === "destroy" || other.what === "destroyOf")) ||
        other.what === "destroyAllOf" ||
        other.what === "clear"),
  );
}

/** Whether a new session came to its end before it was stored. */
function isOverSince({ rules }: History, call: Call, first: Call): boolean {
  const { idle = rules.idle } = call;
  const end = Math.min(call.beganAt + idle, first.beganAt + limitOf(rules, idle));
  return end <= (call.endedAt as number) + 1;
}

/** Whether others, or a failover, have made a session that of another user than it was for a call. */
function isOfOthers(
  { rules, calls }: History,
  { sid, user, order, why }: Version,
  call: Call,
): boolean {
  if (!rules.users || rules.conflict !== "merge") return false;
  // Whose it was for the call: as it was confirmed last, or as it was tried since.
  const tried = calls.filter(
    ({ object, number }) => object === call.object && number < call.number,
  );
  const known = [
    call.userBefore,
    ...tried
      .filter((other) => isUnknown(other) || other.answer === "GONE")
      .map((other) => other.user),
  ];
  if (known.every((each) => each === user)) return false;
  if (why === "failed over") return true;
  return calls.some(
    (other) =>
      other.object !== call.object &&
      other.sid === sid &&
      other.what === "save" &&
      other.began < order &&
      other.user === user,
  );
}

/** Whether a removal was asked for, or made room for others. */
export function isEnding(history: History, version: Version, before: Version): boolean {
  return (
    isAskedToEnd(history, version, before) ||
    isRevenant(history, version) ||
    isOneTooMany(history, version.sid, before.user, version.order, version.process)
  );
}

/** Whether who saves a session ends it by that: it asks for a life that is over, as its clock has it. */
export function isEndedBySaving(history: History, version: Version, before: Version): boolean {
  const { time, sid, order } = version;
  // Under "overwrite" nobody looks whose creation the stored session counts from.
  const all = history.rules.conflict === "overwrite" ? history.during(sid, 0, order) : [before];
  const created = Math.min(...all.map((each) => each.created ?? time));
  return callsFor(history, version).some(({ idle = Number.POSITIVE_INFINITY }) => {
    const limit = limitOf(history.rules, idle);
    return idle < SKEW || created + limit <= time + SKEW;
  });
}

/** Whether a session that is removed was made anew by a late command, after it had been ended. */
export function isRevenant(history: History, version: Version): boolean {
  const { sid, process, order } = version;
  const earlier = (history.versions.get(sid) ?? []).filter((each) => each.order < order);
  const birth = earlier.findLast(
    ({ places }, at) => places !== null && (earlier[at - 1]?.places ?? null) === null,
  );
  return history.calls.some(
    (call) =>
      call.what === "destroy" &&
      call.sid === sid &&
      call.process === process &&
      birth !== undefined &&
      ((call.ended ?? order) < birth.order ||
        (call.began < birth.order && history.at(sid, call.began).places === null) ||
        earlier.some(
          ({ why, order: gone }) => why === "removed" && gone > call.began && gone < birth.order,
        )),
  );
}
