// What the contract asks of a history: who may have written what, what was due, and what was known.
import { shownAnswer, shownCall } from "./actors.js";
import { OBSERVER } from "./client.js";
import {
  type Call,
  DEFINITE,
  type History,
  type Leaf,
  type Places,
  type Rules,
  samePlaces,
  type Version,
  type Wish,
} from "./history.js";

/** How long a cache may not notice that its connection is dead, beside `timeout`. */
const PING_INTERVAL = 1000;

/** By so much an idle timeout is another one, in ms: `originalMaxAge` drifts with the clock. */
const DRIFT = 1000;

/** By so much a life may be over sooner than the server thinks, by a clock that was set, in ms. */
const SKEW = 500;

/** For so many times `timeout` the store reckons with a command that got no answer. */
const LATEST = 3;

/* Calls */

/** What became of it is known. */
function isKnown(call: Call): boolean {
  return call.error === undefined ? call.ended !== undefined : DEFINITE.has(call.error);
}

/** It got no answer: it has happened, has not, or happens later. */
export function isUnknown(call: Call): boolean {
  return !isKnown(call);
}

export function isConfirmed(call: Call): boolean {
  return call.ended !== undefined && call.error === undefined && call.answer !== "GONE";
}

/** Whether a session was told to live on. */
export function isRenewal({ rules }: History, call: Call): boolean {
  // A touch that is not to do anything answers and does nothing.
  if (call.what === "touch" && rules.disableTouch) return false;
  if (call.what !== "touch" && call.what !== "save") return false;
  return isConfirmed(call) && call.idle !== undefined && call.answer !== "EXPIRED";
}

export function isUnderWay(call: Call, order: number): boolean {
  return call.ended === undefined || call.ended >= order;
}

/** Whether a call may still do something: it is under way, or nobody knows what became of it. */
export function isOpen(history: History, call: Call, order: number): boolean {
  if (isUnderWay(call, order)) return true;
  if (isKnown(call)) return false;
  // The next confirmation of its object tells what became of it.
  const later = history.calls.find(
    (other) =>
      other.object !== undefined &&
      other.object === call.object &&
      other.number > call.number &&
      other.what === "save" &&
      isConfirmed(other),
  );
  return later === undefined || (later.ended as number) >= order;
}

/** The calls that may have made a version. */
export function openCalls(history: History, version: Version): Call[] {
  return callsFor(history, version).filter((call) => isOpen(history, call, version.order));
}

/** The calls on its session that its process had begun. */
function callsFor(history: History, version: Version): Call[] {
  return history.calls.filter(
    (call) =>
      call.sid === version.sid && call.process === version.process && call.began < version.order,
  );
}

/** Whether a call writes its object as a whole, whatever is there. */
export function isWhole({ rules }: History, call: Call): boolean {
  return call.isWhole || rules.conflict === "overwrite";
}

/** Whether a version is what a call writes as a whole: whatever is there, or where the session is over. */
export function isWholeOf(history: History, call: Call, version: Version): boolean {
  // One that sets a cookie and nothing else writes, under "overwrite", what it knows of the session.
  const isOfCookie = call.what === "touch" && history.rules.conflict === "overwrite";
  if (isOfCookie) return wasBefore(history, version);
  if (call.what !== "save" || !samePlaces(call.places, version.places)) return false;
  const before = versionBefore(history, version);
  return (
    isWhole(history, call) || (call.isNew && before !== undefined && isPast(history, before, call))
  );
}

export function wants(call: Call, place: string, leaf: Leaf): boolean {
  const wish = call.wishes.get(place);
  return wish !== undefined && wish.value === leaf;
}

export function isFulfilled(
  { value, isUndone, instead }: Wish,
  place: string,
  { places }: Version,
) {
  // An object that is there again may be another request's.
  if (isUndone) return instead === "{}" || places?.get(place) !== instead;
  return places !== null && places.get(place) === value;
}

/** Whether another request has removed a place, or what it is in, before a call was answered. */
export function isRemovedByOthers({ calls }: History, call: Call, place: string): boolean {
  return calls.some(
    (other) =>
      other.what === "save" &&
      other.object !== call.object &&
      other.sid === call.sid &&
      other.began < (call.ended as number) &&
      (other.isWhole || other.wishes.has(place)) &&
      !other.places?.has(place),
  );
}

/** Whether what a call wants was there for an earlier save of the same object, which was told that it is gone. */
export function wasThereUntilGone(history: History, call: Call, place: string): boolean {
  const wish = call.wishes.get(place) as Wish;
  const own = history.calls.filter(
    ({ object, number }) => object === call.object && number < call.number,
  );
  const gone = own.findLast(({ answer }) => answer === "GONE");
  const first = own.find(({ wishes }) => wishes.get(place)?.value === wish.value);
  if (gone === undefined || first === undefined || first.number > gone.number) return false;
  const versions = history.during(call.sid, first.began, gone.ended as number);
  return versions.some((version) => isFulfilled(wish, place, version));
}

/** The same of a call that writes its object as a whole. */
export function wasThereAsAWhole(history: History, call: Call): boolean {
  const own = history.calls.filter(
    ({ object, number, places }) =>
      object === call.object && number < call.number && samePlaces(places, call.places),
  );
  return own.some(({ answer, sid, began, ended = began }) => {
    const versions = answer === "GONE" ? history.during(sid, began, ended) : [];
    return versions.some(({ places }) => samePlaces(places, call.places));
  });
}

/** Whether a failover took what an object was to hold or not to hold. */
export function isTakenByAFailover(history: History, call: Call): boolean {
  const { began } = firstOf(history, call);
  const versions = history.during(call.sid, began, call.ended as number);
  return versions.some(({ why, order }) => why === "failed over" && order > began);
}

/** Whether the client has sent something again of what was asked for with an object. */
export function isRepeated(history: History, call: Call): boolean {
  const { began } = firstOf(history, call);
  return history.repeats.some(
    ({ process, sid, order }) =>
      process === call.process &&
      sid === call.sid &&
      order > began &&
      order < (call.ended as number),
  );
}

/** Whether a session was ended after it was first tried to give a place its value: the ending took it. */
export function isTakenByAnEnding(history: History, call: Call, { since }: Wish): boolean {
  const versions = history.during(call.sid, since, call.ended as number);
  return (
    since < call.began && versions.some(({ places, order }) => places === null && order > since)
  );
}

/**
 * Whether an earlier save of the same object got no answer and landed, and another request has changed
 * a part of it back: that looks as if it had not.
 */
export function isHiddenByOthers(history: History, call: Call): boolean {
  const own = history.calls.filter(
    ({ object, number, what }) => object === call.object && number < call.number && what === "save",
  );
  const versions = history.during(call.sid, 0, call.ended as number);
  return own.filter(isUnknown).some((first) => {
    const landed = versions.find(
      (version, at) =>
        version.order > first.began &&
        [...first.wishes].every(([place, wish]) => isFulfilled(wish, place, version)) &&
        [...first.wishes].some(
          ([place, wish]) => !isFulfilled(wish, place, versions[at - 1] ?? version),
        ),
    );
    if (landed === undefined) return false;
    const later = versions.filter(({ order }) => order >= landed.order);
    return later.some((before) => isTakenBackByOthers(history, first, landed, before));
  });
}

/**
 * Whether an earlier save of the same object got no answer, and other requests have set something to
 * the very value that it was to have, and the place to another one.
 */
export function isTakenForAnothers(history: History, call: Call, place: string): boolean {
  const { calls } = history;
  const wished = calls
    .filter((other) => other.object === call.object && other.number < call.number)
    .filter((other) => other.error !== undefined && isUnknown(other))
    .flatMap(({ wishes }) => {
      const written = [...wishes].filter(([, { value }]) => value !== undefined && value !== "{}");
      // What is not there counts where there is nothing else to find.
      return written.length > 0
        ? written
        : [...wishes].filter(([, { value }]) => value === undefined);
    });
  const others = calls.filter(
    ({ what, sid, object, began }) =>
      what === "save" &&
      sid === call.sid &&
      object !== call.object &&
      began < (call.ended as number),
  );
  return (
    others.some(({ wishes }) => wishes.has(place)) &&
    others.some((other) => wished.some(([at, { value }]) => wants(other, at, value)))
  );
}

/** Whether an object takes back what it had set before it was told that its session is gone. */
function isTakenBackAfterGone(
  { calls }: History,
  { object, number, places }: Call,
  place: string,
): boolean {
  if (object === undefined || places?.has(place)) return false;
  const own = calls.filter((call) => call.object === object && call.number < number);
  return own.some(({ answer }) => answer === "GONE") && own.some((call) => call.places?.has(place));
}

/** Whether some call asks for what became of a place. */
export function isAskedFor(
  history: History,
  writers: readonly Call[],
  place: string,
  before: Version,
  version: Version,
): boolean {
  const { rules } = history;
  const [outer = "", inner] = place.split("/");
  const leaf = version.places?.get(place);
  if (rules.conflict === "overwrite") return false;
  const savers = writers.filter(({ what }) => what === "save");
  if (savers.some((call) => wants(call, place, leaf))) return true;
  if (leaf === undefined && savers.some((call) => isTakenBackAfterGone(history, call, place)))
    return true;
  // It went with the object that it was in; that is a place of its own.
  if (inner !== undefined && before.places?.get(outer) === "{}" && !version.places?.has(outer))
    return true;
  // A function of the app decides; this one takes whole values at the top.
  return (
    rules.conflict === "function" &&
    savers.some(
      ({ wishes, places }) =>
        places?.get(place) === leaf &&
        [...wishes.keys()].some((each) => each.split("/")[0] === outer),
    )
  );
}

/* Versions */

interface Transition {
  readonly version: Version;
  readonly before: Version;
  readonly index: number;
  readonly all: readonly Version[];
}

/** Every change that a command or time made to a session. */
export function* transitions(history: History): Generator<Transition> {
  for (const all of history.versions.values()) {
    for (const [index, version] of all.entries()) {
      if (version.why === "failed over" || version.process === OBSERVER) continue;
      const before = all[index - 1] ?? {
        ...version,
        places: null,
        user: undefined,
        text: null,
        ends: undefined,
      };
      yield { version, before, index, all };
    }
  }
}

/** Whether a session has been once already what it became. */
function wasBefore(history: History, version: Version): boolean {
  const all = history.versions.get(version.sid) ?? [];
  return all.some(
    ({ order, places }) => order < version.order && samePlaces(places, version.places),
  );
}

function versionBefore(history: History, version: Version): Version | undefined {
  const all = history.versions.get(version.sid) ?? [];
  return all[all.indexOf(version) - 1];
}

export function differences(before: Places, after: Places): string[] {
  const places = new Set([...before.keys(), ...after.keys()]);
  return [...places].filter((place) => before.get(place) !== after.get(place));
}

/** Whether a version is what a call without an answer was to write, as a whole. */
export function isOfALateWrite(history: History, version: Version): boolean {
  const late = callsFor(history, version).filter(
    (call) =>
      call.error !== undefined && isUnknown(call) && samePlaces(call.places, version.places),
  );
  return late.length > 0;
}

/** Whether under "overwrite" a renewal without an answer may have given a version its life. */
export function isOfALateRenewal(history: History, version: Version): boolean {
  if (history.rules.conflict !== "overwrite") return false;
  const life = (version.ends ?? 0) - version.time;
  return callsFor(history, version).some(
    ({ error, idle = 0, ...call }) =>
      error !== undefined &&
      !DEFINITE.has(error) &&
      call.ended !== undefined &&
      life <= Math.ceil(idle + slackOf(history.rules, idle)) + 2,
  );
}

/** Whether code that loads nothing has brought back what a command without an answer expects. */
export function isSetBack(history: History, { version, before, index, all }: Transition): boolean {
  const isBack = all.slice(0, index - 1).some(({ text }) => text !== null && text === before.text);
  const isLate = callsFor(history, version).some(
    (call) => call.error !== undefined && isUnknown(call),
  );
  return isBack && isLate && isOfCodeThatLoadsNothing(history, before);
}

/** Whether a session was what a failover has made of it, whoever has renewed it since. */
export function isFailedOver({ before, index, all }: Transition): boolean {
  const other = all.slice(0, index).findLastIndex(({ text }) => text !== before.text);
  return all.slice(other + 1, index).some(({ why }) => why === "failed over");
}

/** Whether a version is what code wrote that has not loaded the session. */
export function isOfCodeThatLoadsNothing(history: History, version: Version): boolean {
  return history.calls.some(
    (call) =>
      call.isWhole &&
      call.sid === version.sid &&
      call.began < version.order &&
      samePlaces(call.places, version.places),
  );
}

/** Whether a call's object was loaded when a session had the text already that a version has. */
export function hasLoaded(history: History, call: Call, version: Version): boolean {
  if (call.source === undefined) return false;
  const source = history.calls[call.source] as Call;
  const since = history.rules.cache ? oldestCached(history, source) : source.began;
  const earlier = (history.versions.get(version.sid) ?? []).filter(
    ({ order }) => order <= version.order,
  );
  const last = earlier.findLastIndex(({ text }) => text !== version.text);
  return (earlier[last + 1] as Version).order < since;
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

/** The first save of the object that a call saves. */
function firstOf({ calls }: History, call: Call): Call {
  const first = calls.find(({ object, what }) => what === "save" && object === call.object);
  return call.object === undefined ? call : (first as Call);
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

/** Whether a session is over by its own rules, at some time during a call, as the process takes it. */
export function isPast({ rules, steps }: History, version: Version, call: Call): boolean {
  if (version.places === null) return false;
  const { began, ended = began, beganAt, endedAt = beganAt } = call;
  const set = steps
    .filter(({ process, order }) => process === call.process && order > began && order < ended)
    .reduce((sum, { ms }) => sum + Math.max(0, ms), 0);
  const now = call.wall + (endedAt - beganAt) + set;
  const idle = version.maxAge ?? rules.idle;
  if (version.created !== undefined && version.created + limitOf(rules, idle) <= now + 1)
    return true;
  return version.ends !== undefined && version.ends <= now + 1 + Math.abs(call.wall - call.beganAt);
}

/** How long after its creation a session ends at the latest. */
function limitOf({ rolling, deadline = Number.POSITIVE_INFINITY }: Rules, idle: number): number {
  return rolling ? deadline : Math.min(idle, deadline);
}

/* 2. Creations */

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

/* 3. Lives */

function slackOf({ rolling, touchAfter }: Rules, idle: number): number {
  return rolling ? Math.min(touchAfter, idle / 60) : 0;
}

/** How long a version may live, in ms; two for what is rounded. */
export function mostLife(history: History, version: Version): number {
  const { rules } = history;
  const asked = [version.maxAge ?? rules.idle];
  // A row is touched as it was listed.
  const rows = callsFor(history, version).filter(({ isRow }) => isRow);
  asked.push(...rows.map(({ idle = 0 }) => idle));
  // Its own cookie, with nothing of the stored one: the last writer wins.
  if (rules.conflict === "overwrite") {
    asked.push(...openCalls(history, version).map(({ idle = 0 }) => idle));
  }
  return Math.max(...asked.map((idle) => Math.ceil(idle + slackOf(rules, idle)) + 2));
}

/** By how much a session's key outlives its deadline, in ms; two for what is rounded. */
export function overdue(history: History, version: Version): number {
  const { rules } = history;
  const { ends, maxAge = rules.idle } = version;
  if (version.created === undefined || ends === undefined) return 0;
  // A life is counted from when its command arrives: it was sent before, but not before it was asked for.
  const writers = callsFor(history, version).filter(
    (call) => isUnknown(call) || isUnderWay(call, version.order),
  );
  const travels = writers.map(({ beganAt }) => version.time - beganAt);
  const isLast = rules.conflict === "overwrite";
  // Its own cookie, with nothing of the stored one: the last writer wins. A row is touched as it was listed.
  const own = writers.filter(({ isRow }) => isLast || isRow).map(({ idle = 0 }) => idle);
  const limit = limitOf(rules, Math.max(maxAge, ...own));
  // Nor does it know of another's creation.
  const others = isLast ? history.during(version.sid, 0, version.order) : [];
  const created = Math.max(version.created, ...others.map((other) => other.created ?? 0));
  return ends - (created + limit) - Math.max(0, ...travels) - 2;
}

/** Whether a life may be wrong by so much, since clocks were set by which it was computed. */
export function isByTheClock(history: History, sid: string, order: number, by: number): boolean {
  const { rules, calls, steps } = history;
  // A deadline counts from a creation, by whatever clock. An idle timeout counts from now.
  const isDated = !rules.rolling || rules.deadline !== undefined;
  const set = steps
    .filter((step) => step.order < order)
    .filter((step) =>
      calls.some(
        (call) =>
          call.sid === sid &&
          call.process === step.process &&
          call.began < order &&
          (isDated || (call.began < step.order && isUnderWay(call, step.order))),
      ),
    )
    .reduce((sum, { ms }) => sum + Math.abs(ms), 0);
  return set > 0 && by <= set + 2;
}

/** Until when a session has to live for a call that was confirmed; `undefined`: that cannot be told. */
export function untilOf({ rules }: History, call: Call, version: Version): number | undefined {
  const idle = call.idle as number;
  const now = version.maxAge ?? rules.idle;
  // Another request has changed how long it lives; originalMaxAge drifts with the clock.
  if (Math.abs(now - idle) >= DRIFT) return undefined;
  const limit = Math.min(
    rules.rolling ? Number.POSITIVE_INFINITY : Math.min(idle, now),
    rules.deadline ?? Number.POSITIVE_INFINITY,
  );
  const until = call.beganAt + Math.min(idle, now);
  if (limit === Number.POSITIVE_INFINITY) return until;
  return version.created === undefined ? undefined : Math.min(until, version.created + limit);
}

/** The latest that a session has to live to for what was confirmed before a change of it. */
export function dueBefore(
  history: History,
  { sid, order }: Version,
  version: Version,
): { until: number; call: Call } | undefined {
  let due: { until: number; call: Call } | undefined;
  for (const call of history.calls) {
    if (call.sid !== sid || !isRenewal(history, call) || (call.ended as number) >= order) continue;
    const versions = history.during(sid, call.ended as number, order - 1);
    if (versions.some((each) => isAnother(history, each, call))) continue;
    const until = untilOf(history, call, version);
    if (until !== undefined && (due === undefined || until > due.until)) due = { until, call };
  }
  return due;
}

/** Whether a session is another one than a call has renewed, or asks for another life, which a row of all() keeps. */
function isAnother({ rules }: History, { places, why, maxAge = rules.idle }: Version, call: Call) {
  return (
    places === null || why === "failed over" || Math.abs(maxAge - (call.idle as number)) >= DRIFT
  );
}

/** Whether who made a version asks for a shorter life than a call did; who ends it, of a session of its own user. */
export function asksForLess(
  history: History,
  version: Version,
  before: Version,
  { idle = 0 }: Call,
): boolean {
  const { users, conflict } = history.rules;
  const isGuarded = version.places === null && users && conflict === "merge";
  const isOwn = (call: Call) =>
    call.user === before.user ||
    call.userBefore === before.user ||
    history.calls.some(({ object, user }) => object === call.object && user === before.user);
  return openCalls(history, version).some(
    (other) => !other.isRow && (other.idle ?? idle) < idle - 500 && (!isGuarded || isOwn(other)),
  );
}

/** Whether under "overwrite" a request with a cookie that ends sooner has had the last word since. */
export function isOutdone({ rules, calls }: History, call: Call): boolean {
  const { conflict, rolling, deadline } = rules;
  if (conflict !== "overwrite") return false;
  const idle = call.idle as number;
  // So long a process trusts what it remembers of a renewal.
  const trusted = slackOf(rules, idle) + 1;
  // Or one that counts from another creation.
  const isDated = !rolling || deadline !== undefined;
  const begun = calls.filter(({ sid, isNew }) => isNew && sid === call.sid);
  if (isDated && new Set(begun.map(({ object }) => object)).size > 1) return true;
  return calls.some(
    (other) =>
      other.sid === call.sid &&
      ((isDated && other.isWhole) ||
        ((other.error !== undefined || (other.endedAt ?? call.beganAt) + trusted >= call.beganAt) &&
          (other.idle ?? idle) < idle - 500)),
  );
}

/** Whether a failover took a renewal that the process still trusts: for `touchAfter`. */
export function isLostAndTrusted({ rules }: History, call: Call, version: Version): boolean {
  const idle = call.idle as number;
  return version.why === "failed over" && call.beganAt <= version.time + slackOf(rules, idle) + 1;
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

/** Whether somebody asks for what ends a session. */
export function isAskedToEnd(
  { calls }: History,
  { sid, process, order }: Version,
  before: Version,
): boolean {
  return calls.some(
    (call) =>
      call.process === process &&
      call.began < order &&
      (isUnderWay(call, order) || call.error !== undefined) &&
      (((call.what === "destroy" || call.what === "destroyOf") && call.sid === sid) ||
        (call.what === "destroyAllOf" && call.user === before.user && call.except !== sid) ||
        call.what === "clear"),
  );
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

/* 4. and 5. Users */

/** Whether a session of nobody has become somebody's under the id that it had, and not by code that loads nothing. */
export function isLoginUnderOldId(history: History, version: Version, before: Version): boolean {
  if (before.places === null || before.user !== undefined || version.user === undefined)
    return false;
  return !openCalls(history, version).some(
    (call) => isWholeOf(history, call, version) || (call.isNew && call.user === version.user),
  );
}

/** Whether a session has come to its deadline, though its key may live on: that counts from when the command arrived. */
export function isOverAt(history: History, sid: string, at: number): boolean {
  const { rules } = history;
  const last = history.versions.get(sid)?.findLast(({ places }) => places !== null);
  if (last?.created === undefined) return false;
  return last.created + limitOf(rules, last.maxAge ?? rules.idle) <= at;
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
function becameOf(history: History, sid: string, user: string, until: number): Version | undefined {
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

/** Why a user may have more sessions than allowed, if there is a reason. */
export function whyTooMany(
  history: History,
  user: string,
  live: readonly string[],
): "the index was lost" | "nobody could write the index" | undefined {
  const reasons = live.map((sid) => whyUnlisted(history, sid, user, Number.POSITIVE_INFINITY));
  const known = reasons.find((reason) => reason !== undefined);
  if (known !== undefined) return known;
  const isUnsure = history.calls.some(
    (call) => isUnknown(call) && (call.user === user || call.userBefore === user),
  );
  return isUnsure ? "nobody could write the index" : undefined;
}

/** The sessions that a user may have had at one time, and that others than the limit have not ended since. */
function takenAt({ versions, calls, rules }: History, user: string, order: number): Set<string> {
  const taken = new Set<string>();
  for (const [sid, all] of versions) {
    const earlier = all.filter((version) => version.order <= order);
    // Of what a failover took the entry may be left.
    const isLost = earlier.some(({ why }) => why === "failed over");
    if (
      earlier.at(-1)?.user === user ||
      (isLost && earlier.some((version) => version.user === user))
    )
      taken.add(sid);
  }
  const grace = LATEST * rules.timeout;
  const at = calls.findLast(({ began }) => began <= order)?.beganAt ?? 0;
  for (const call of calls) {
    if (call.began > order) break;
    // A session that was merged may be another user's than its object says.
    const isTheirs = () => versions.get(call.sid)?.some((version) => version.user === user);
    if (call.user !== user && call.userBefore !== user && !isTheirs()) continue;
    if (call.what !== "save" && call.what !== "touch") continue;
    // Nothing is stored any more where the session of an object is gone.
    const isGoneBefore = () =>
      !rules.rejects &&
      !call.isNew &&
      !isUnknown(call) &&
      call.userBefore === user &&
      versions.get(call.sid)?.findLast((version) => version.order <= order)?.places === null;
    if (isGoneBefore()) continue;
    // A place that was taken in vain may be given back a while later.
    const isInVain = call.error !== undefined || call.answer === "GONE";
    const isLate = rules.rejects && isInVain && (call.endedAt ?? at) + grace >= at;
    const whatWas = (sid: string, when: number) =>
      versions.get(sid)?.findLast((version) => version.order <= when);
    // What its own process has ended since is dropped from the index.
    const isEnded = () =>
      calls.some(
        ({ what, sid, process, began, ended = order, error, answer }) =>
          what === "destroy" &&
          sid === call.sid &&
          process === call.process &&
          began > (call.ended ?? order) &&
          ended < order &&
          error === undefined &&
          answer === 1 &&
          whatWas(sid, began)?.user === user,
      );
    if (isUnderWay(call, order) || (isUnknown(call) && !isEnded()) || isLate) taken.add(call.sid);
  }
  return taken;
}

function ordersOf({ versions }: History): number[] {
  return [...versions.values()].flat().map(({ order }) => order);
}

/** Whether at some time during a call so many other sessions were a user's, or may have been. */
export function areTaken(history: History, call: Call, limit: number): boolean {
  const ended = call.ended as number;
  const orders = [...history.calls.map(({ began }) => began), ...ordersOf(history)];
  return orders.some((order) => {
    if (order < call.began || order > ended) return false;
    const taken = takenAt(history, call.user as string, order);
    taken.delete(call.sid);
    return taken.size >= limit;
  });
}

/**
 * Whether a session was one too many of its user's until then: at some time since it was theirs there
 * were more than are allowed, without those that the limit has taken since.
 */
function isOneTooMany(
  history: History,
  sid: string,
  user: string | undefined,
  order: number,
  process?: string,
): boolean {
  const { limit, rejects } = history.rules;
  if (limit === undefined || rejects || user === undefined) return false;
  const became = becameOf(history, sid, user, order)?.order ?? order;
  // It may have begun anew under its id while somebody was at ending the one before.
  const ending = history.calls
    .filter((call) => call.process === process && call.began < became)
    // What makes room goes on when its call has failed.
    .filter(({ ended = order, error }) => ended >= order || error !== undefined)
    .map(({ began }) => began);
  const since = Math.min(became, ...ending);
  /** When the limit took others. */
  const took: { readonly sid: string; readonly order: number }[] = [];
  const moments = [...history.calls.map(({ began }) => began), ...ordersOf(history)];
  for (const all of history.versions.values()) {
    for (const [index, each] of all.entries()) {
      const old = all[index - 1];
      if (each.why !== "removed" || old?.user !== user || each.sid === sid) continue;
      if (!isAskedToEnd(history, each, old)) took.push(each);
    }
  }
  return moments.some((moment) => {
    if (moment < since || moment >= order) return false;
    const taken = takenAt(history, user, moment);
    for (const each of took) {
      if (each.order > moment && each.order < order) taken.delete(each.sid);
    }
    return taken.add(sid).size > limit;
  });
}

/**
 * A session that was less active than one that has to make room, and keeps its place: it was done with
 * before that was last changed, and is there long afterwards.
 */
export function lessActive(history: History, version: Version, user: string): string | undefined {
  const { sid, order } = version;
  const lastUse = history.calls.findLast(
    (call) =>
      call.sid === sid &&
      call.what === "save" &&
      call.user === user &&
      call.wishes.size > 0 &&
      isConfirmed(call) &&
      (call.ended as number) < order,
  );
  if (lastUse === undefined) return undefined;
  const until = order + 1;
  const isIdle = (other: string) =>
    other !== sid &&
    history
      .during(other, lastUse.began, Number.POSITIVE_INFINITY)
      .every(({ order: at, user: its, why }) => (at > until ? why !== "removed" : its === user)) &&
    isLoggedIn(history, other, user, lastUse.began) &&
    // One that the index does not name is none that it could choose.
    whyUnlisted(history, other, user, order) === undefined &&
    history.calls.every(
      (call) =>
        call.sid !== other ||
        call.what === "get" ||
        (call.ended !== undefined && call.ended < lastUse.began && !isUnknown(call)) ||
        call.began > until,
    );
  return [...history.versions.keys()].find(isIdle);
}

/* 6. Reads */

/** Since when a process that caches may have what it reads. */
export function oldestCached(history: History, call: Call): number {
  const oldest = call.beganAt - PING_INTERVAL - history.rules.timeout;
  const since = history.calls.find(({ beganAt }) => beganAt >= oldest)?.began ?? call.began;
  const own = history.calls.filter(
    ({ process, sid, what, ended, error }) =>
      process === call.process &&
      sid === call.sid &&
      what !== "get" &&
      ended !== undefined &&
      ended < call.began &&
      error === undefined,
  );
  const written = own.map((each) => lastWriteOf(history, each));
  return Math.min(Math.max(since, ...written), call.began);
}

/** When what a confirmed call has written became what it was. */
function lastWriteOf(history: History, call: Call): number {
  const own = history.versions
    .get(call.sid)
    ?.findLast(
      ({ order, process }) =>
        order > call.began && order <= (call.ended as number) && process === call.process,
    );
  return own?.order ?? 0;
}

/* 7. Time */

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

/* 8. Saving again */

/** Whether a request that took a value back has since set it again, or takes one back now. */
export function isTakenBack(history: History, call: Call, place: string, leaf: Leaf): boolean {
  if (call.wishes.get(place)?.isUndone) return true;
  const own = history.calls.filter(({ object, what }) => object === call.object && what === "save");
  const source = history.calls.find(({ number }) => number === call.source);
  const isLoaded = source?.read?.get(place) === leaf;
  return own.some(
    (other) =>
      other.number < call.number &&
      other.places?.get(place) !== leaf &&
      (isLoaded ||
        own.some((first) => first.number < other.number && first.places?.get(place) === leaf)),
  );
}

/** Whether nothing is left of a save that landed by which it can be known. */
export function isUnknowable(_: History, call: Call, landed: Version, before: Version): boolean {
  return ![...call.wishes].some(
    ([place, { value }]) =>
      value !== undefined &&
      value !== "{}" &&
      landed.places?.get(place) === value &&
      before.places?.get(place) === value,
  );
}

/** Whether something that a save had changed, which landed, is again what it was. */
export function isTakenBackByOthers(
  history: History,
  call: Call,
  landed: Version,
  before: Version,
): boolean {
  const earlier = history.during(call.sid, 0, landed.order);
  return [...call.wishes].some(([place, { value }]) => {
    if (landed.places?.get(place) !== value) return false;
    const old = earlier.findLast(({ places }) => places?.get(place) !== value);
    const now = before.places?.get(place);
    return now !== value && now === old?.places?.get(place);
  });
}

/** Whether the client has sent again what a call had it send, which had landed already. */
export function isSentTwice(
  history: History,
  call: Call,
  landed: Version,
  again: Version,
): boolean {
  return history.repeats.some(
    ({ process, sid, order }) =>
      process === call.process &&
      sid === call.sid &&
      firstOf(history, call).began < landed.order &&
      landed.order < order &&
      order < again.order,
  );
}

/* For readers */

export function shown(call: Call): string {
  const answer = call.ended === undefined ? "" : ` and was told ${shownAnswer(call)}`;
  return `${call.actor} on ${call.process} ${shownCall(call)}${answer}`;
}

export function when(version: Version): string {
  return `at ${version.time % 1_000_000}, by ${version.process ?? "the server"}`;
}
