// The store's contract: what must hold at the end of every run. This file is the specification.

import {
  boundOf,
  isContended,
  isOthersToo,
  isUnfit,
  shown,
  stoppedDuring,
  when,
} from "./evidence/answers.js";
import {
  isAskedToEnd,
  isConfirmed,
  isOpen,
  isRenewal,
  isRepeated,
  isUnderWay,
  isUnknown,
  isWhole,
  openCalls,
  wants,
} from "./evidence/calls.js";
import {
  differences,
  hasLoaded,
  isFailedOver,
  isOfALateWrite,
  isOfCodeThatLoadsNothing,
  isSetBack,
  oldestCached,
  transitions,
} from "./evidence/changes.js";
import {
  endingBefore,
  isEndedBySaving,
  isEnding,
  isGone,
  isLaidToRest,
  isMadeAfter,
  isOfALateCreation,
  isRevenant,
  makersOf,
  wasEnded,
} from "./evidence/endings.js";
import { areTaken, lessActive, whyTooMany } from "./evidence/limits.js";
import {
  asksForLess,
  dueBefore,
  isByTheClock,
  isLostAndTrusted,
  isOfALateRenewal,
  isOutdone,
  isOverAt,
  isPast,
  mostLife,
  overdue,
  untilOf,
} from "./evidence/lives.js";
import {
  isBeingDropped,
  isLoggedIn,
  isLoginUnderOldId,
  isThroughout,
  whyUnlisted,
} from "./evidence/users.js";
import {
  isAskedFor,
  isFulfilled,
  isHiddenByOthers,
  isRemovedByOthers,
  isSentTwice,
  isTakenBack,
  isTakenBackByOthers,
  isTakenByAFailover,
  isTakenByAnEnding,
  isTakenForAnothers,
  isUnknowable,
  isWholeOf,
  wasThereAsAWhole,
  wasThereUntilGone,
} from "./evidence/wishes.js";
import { type Call, type History, samePlaces, shownPlaces, type Version } from "./history.js";
import { eventsAreTrue, notesAreTrue } from "./sight.js";

/** A promise that was broken. */
export interface Broken {
  /** Which of the eight. */
  readonly promise: number;
  readonly what: string;
}

/** How often the contract was lenient, by the reason. */
export type Leniencies = Map<string, number>;

type Lenient = (reason: keyof typeof LENIENCIES) => void;

/** Where the contract asks for less than it says, and why that cannot be otherwise. */
const LENIENCIES = {
  "overwritten before it was found":
    "A save without an answer landed, and another one wrote over all that it had changed: nothing tells that it was there, so saving again writes again.",
  "changed back before it was found":
    "A save without an answer landed, and another one changed a part of it back: that looks as if it had not landed, and another one had changed the rest to the same.",
  "the client sent it twice":
    "A client may send again what was under way when its connection broke. Where somebody has written in between, the second answer does not tell of the first.",
  "code that loads nothing came between":
    "An unconditional write has an exact life and no mark, and asks nobody. A request that has loaded the session before it does not know of it, and a command that is late may find again what it expects.",
  "a failover brought back what a late command expects":
    "A failover makes a session what it was before, as a whole: a command that lay in the network past its deadline, and has been answered for by a later one, finds again what it expects.",
  "a late command overwrote":
    'Under "overwrite" a command is conditional on nothing but that the session is there: one that lay in the network past its deadline takes the place of a later save.',
  "late creation":
    "A command that makes a session lay in the network past its deadline, and meanwhile the session was made and ended. Where the same process has ended it, it looks again after three times `timeout`.",
  "another request made the same change":
    "A save without an answer did not land, and another request has changed the same to the same and the rest otherwise: that looks like the save with another one on top.",
  "the enclosing object was replaced":
    "A change beneath an object that another request removed or replaced is dropped: so a logout is not undone.",
  "the clock was set":
    "A life is computed by the process's time of day, and so is a deadline: if that is set by d meanwhile, they may be wrong by d.",
  "nobody could write the index":
    "A session was written, and the process died before it could write the entry; or the command came so late that its entry was dropped as a dead one. The next save or renewal that is sent makes up for it.",
  "the index was lost":
    "Eviction, FLUSHALL or a failover took the index: the next save or renewal of each session makes up for it.",
  "a failover took the renewal":
    "A process remembers what it renewed, and renews that again when it would change something: up to `touchAfter` later.",
  "the last writer wins":
    'Under "overwrite" a request with another cookie sets its own expiry, shorter or not, as with connect-redis.',
} as const;

/** All eight promises; the first that is broken. */
export function contract(history: History, leniencies: Leniencies): Broken | undefined {
  const lenient: Lenient = (reason) => leniencies.set(reason, (leniencies.get(reason) ?? 0) + 1);
  for (const [index, promises] of PROMISES.entries()) {
    for (const promise of promises) {
      const what = promise(history, lenient);
      if (what !== undefined) return { promise: index + 1, what };
    }
  }
  return undefined;
}

/** What is wrong; `undefined`: the promise was kept. */
type Promised = (history: History, lenient: Lenient) => string | undefined;

/*
 * 1. An acknowledged change is there, unless a later writer, an ending, an expiry, an eviction or a
 * failover took it.
 */

/** Each change of Redis is one that a request asks for which is under way, or without an answer. */
const changesAreAskedFor: Promised = (history, lenient) => {
  for (const transition of transitions(history)) {
    const { version, before } = transition;
    if (version.places === null || before.places === null) continue;
    const writers = openCalls(history, version);
    const asked = (place: string) => isAskedFor(history, writers, place, before, version);
    const place = differences(before.places, version.places).find((each) => !asked(each));
    if (place === undefined || writers.some((call) => isWholeOf(history, call, version))) continue;
    if (history.rules.conflict === "overwrite" && isOfALateWrite(history, version)) {
      lenient("a late command overwrote");
    } else if (isSetBack(history, transition)) {
      lenient("code that loads nothing came between");
    } else if (isFailedOver(transition) && isOfALateWrite(history, version)) {
      lenient("a failover brought back what a late command expects");
    } else if (isOfALateWrite(history, version) && isOfALateCreation(history, transition)) {
      lenient("late creation");
    } else {
      return `${when(version)}: ${place} of ${version.sid} was ${before.places.get(place) ?? "nothing"} and became ${version.places.get(place) ?? "nothing"}, which no request under way asked for`;
    }
  }
  return undefined;
};

/** Each change that was confirmed was in Redis: while it was asked for, or before, if it was tried before. */
const confirmedChangesWereThere: Promised = (history, lenient) => {
  for (const call of history.calls) {
    if (call.what !== "save" || !isConfirmed(call)) continue;
    const wishes = [...call.wishes.values()];
    if (call.isWhole || (isWhole(history, call) && wishes.some(({ isUndone }) => !isUndone))) {
      const tried = wishes.map(({ since }) => since);
      const since = Math.min(call.began, ...tried);
      const versions = history.during(call.sid, since, call.ended as number);
      if (versions.some(({ places }) => samePlaces(places, call.places))) continue;
      if (wasThereAsAWhole(history, call)) continue;
      return `${shown(call)}, but that was never there`;
    }
    for (const [place, wish] of call.wishes) {
      const since = Math.min(wish.since, call.began);
      const versions = history.during(call.sid, since, call.ended as number);
      if (versions.some((version) => isFulfilled(wish, place, version))) continue;
      if (wish.isUndone && isRemovedByOthers(history, call, place)) continue;
      if (wish.isUndone && isTakenByAFailover(history, call)) continue;
      if (wish.isUndone && isHiddenByOthers(history, call)) {
        lenient("changed back before it was found");
        continue;
      }
      if (isTakenByAnEnding(history, call, wish)) continue;
      const [outer = "", inner] = place.split("/");
      if (inner !== undefined && versions.some(({ places }) => places?.get(outer) !== "{}")) {
        lenient("the enclosing object was replaced");
        continue;
      }
      if (wasThereUntilGone(history, call, place)) continue;
      if (isRepeated(history, call)) {
        lenient("the client sent it twice");
        continue;
      }
      if (isTakenForAnothers(history, call, place)) {
        lenient("another request made the same change");
        continue;
      }
      return `${shown(call)}, but ${place} was never ${wish.value ?? "nothing"}`;
    }
  }
  return undefined;
};

/** Who hears that a session is gone hears the truth. */
const whatIsToldGoneIsGone: Promised = (history, lenient) => {
  for (const call of history.calls) {
    if ((call.answer !== "GONE" && call.answer !== "EXPIRED") || isGone(history, call)) continue;
    // Nothing was there yet whose end could be told.
    if (call.isNew && isByTheClock(history, call.sid, call.ended as number, 0))
      lenient("the clock was set");
    else if (isRepeated(history, call)) lenient("the client sent it twice");
    else
      return `${shown(call)}, but the session was there all the while, and the same user's; or nobody has ended it`;
  }
  return undefined;
};

/* 2. What was ended stays ended. */

/** Only a new session, or code that loads nothing, makes one where none is. */
const theDeadStayDead: Promised = (history, lenient) => {
  for (const { version, before } of transitions(history)) {
    if (before.places !== null || version.places === null) continue;
    const makers = makersOf(history, version);
    if (makers.some((call) => isUnderWay(call, version.order))) continue;
    const open = makers.filter((call) => isOpen(history, call, version.order));
    if (open.some((call) => !wasEnded(history, call, version.order))) continue;
    if (isOfALateWrite(history, version) && isLaidToRest(history, version)) {
      lenient("late creation");
      continue;
    }
    return `${when(version)}: ${version.sid} was gone and came back as ${shownPlaces(version.places)}`;
  }
  return undefined;
};

/** What was answered to have been ended was gone at some time meanwhile. */
const endingsEnd: Promised = (history, lenient) => {
  for (const call of history.calls) {
    if (call.ended === undefined || call.error !== undefined) continue;
    const isOfOne = call.what === "destroy" || call.what === "destroyOf";
    const ended = isOfOne ? [call.sid] : call.what === "clear" ? [...history.versions.keys()] : [];
    for (const sid of ended) {
      const versions = history.during(sid, call.began, call.ended);
      if (versions.some(({ places }) => places === null)) continue;
      // `destroyOf` ends no session of another user.
      if (call.what === "destroyOf") {
        if (versions.some(({ user }) => user !== call.user)) continue;
        if (!isLoggedIn(history, sid, call.user as string, call.began)) continue;
        const reason = whyUnlisted(history, sid, call.user as string, call.ended, call.began);
        if (reason !== undefined) {
          lenient(reason);
          continue;
        }
      }
      return `${shown(call)}, but ${sid} was there all the while`;
    }
  }
  return undefined;
};

/** A logout without an answer is made up for when Redis answers again, unless the app stores the session anew. */
const lostLogoutsAreRepeated: Promised = (history) => {
  for (const call of history.calls) {
    const isLost = call.what === "destroy" && isUnknown(call) && call.ended !== undefined;
    if (!isLost || history.deaths.has(call.process)) continue;
    const isAnew = (other: Call) =>
      other.isNew &&
      other.sid === call.sid &&
      other.process === call.process &&
      (other.ended ?? Number.POSITIVE_INFINITY) > call.began;
    if (history.calls.some(isAnew)) continue;
    const versions = history.during(call.sid, call.began, Number.POSITIVE_INFINITY);
    if (versions.some(({ places }) => places === null)) continue;
    return `${shown(call)}, Redis answers again, and the session is still there`;
  }
  return undefined;
};

/** What a process has ended, or has tried to, it does not call renewed. */
const theEndedAreNotRenewed: Promised = (history) => {
  // There is nothing to renew, and nobody is asked.
  if (history.rules.disableTTL) return undefined;
  for (const call of history.calls) {
    if (call.what !== "touch" || call.answer !== "OK" || !isRenewal(history, call)) continue;
    const logout = endingBefore(history, call);
    if (logout && !isMadeAfter(history, logout)) return `${shown(call)}, but ${shown(logout)}`;
  }
  return undefined;
};

/* 3. Nobody dies before the idle timeout, nor lives past it by more than the slack. */

/** What is written lives for as long as its cookie says, and longer by no more than the slack. */
const livesAreBounded: Promised = (history, lenient) => {
  for (const { version, before } of transitions(history)) {
    if (version.places === null) continue;
    const isEndless = version.ends === undefined;
    if (isEndless !== history.rules.disableTTL)
      return `${when(version)}: ${version.sid} ${isEndless ? "never ends" : "ends"}`;
    if (version.ends === undefined) continue;
    // A write that keeps the life that was there gives none.
    const isKept = before.places !== null && version.ends === before.ends;
    if (version.why !== "written" || isKept) continue;
    const excess = Math.max(
      version.ends - version.time - mostLife(history, version),
      overdue(history, version),
    );
    if (excess <= 0) continue;
    if (isByTheClock(history, version.sid, version.order, excess)) lenient("the clock was set");
    else if (isOfALateRenewal(history, version)) lenient("a late command overwrote");
    else
      return `${when(version)}: ${version.sid} lives for ${version.ends - version.time} ms, ${excess} too long`;
  }
  return undefined;
};

/** Who was active, and was told so, lives on from there: no write and no end takes that away. */
const nobodyDiesEarly: Promised = (history, lenient) => {
  for (const { version, before } of transitions(history)) {
    if (before.places === null) continue;
    const ends =
      version.why === "written" ? (version.ends ?? Number.POSITIVE_INFINITY) : version.time;
    const due = dueBefore(history, version, version.places === null ? before : version);
    if (due === undefined || ends + 1 >= due.until) continue;
    // A write that keeps the life that was there takes nothing away.
    if (version.places !== null && version.ends === before.ends) continue;
    if (version.why === "evicted" || version.why === "flushed") continue;
    if (version.why === "removed" && isEnding(history, version, before)) continue;
    if (asksForLess(history, version, before, due.call)) continue;
    const missing = due.until - ends;
    if (isByTheClock(history, version.sid, version.order, missing)) lenient("the clock was set");
    else if (isOutdone(history, due.call)) lenient("the last writer wins");
    else if (isOfCodeThatLoadsNothing(history, before) && !hasLoaded(history, due.call, before))
      lenient("code that loads nothing came between");
    else
      return `${when(version)}: ${version.sid} ${version.places === null ? "is gone" : "ends"} ${missing} ms before its idle timeout: ${shown(due.call)}`;
  }
  return undefined;
};

/** What was told to be renewed is. */
const renewalsAreThere: Promised = (history, lenient) => {
  for (const call of history.calls) {
    if (!isRenewal(history, call) || call.isWhole) continue;
    const ended = call.ended as number;
    const version = history.at(call.sid, ended);
    if (version.places === null || version.ends === undefined) continue;
    const until = untilOf(history, call, version);
    if (until === undefined || version.ends + 1 >= until) continue;
    const missing = until - version.ends;
    if (isLostAndTrusted(history, call, version)) lenient("a failover took the renewal");
    else if (isOfCodeThatLoadsNothing(history, version) && !hasLoaded(history, call, version))
      lenient("code that loads nothing came between");
    else if (isByTheClock(history, call.sid, ended, missing)) lenient("the clock was set");
    else if (isOutdone(history, call)) lenient("the last writer wins");
    else return `${shown(call)}, but the session ends ${missing} ms before its idle timeout`;
  }
  return undefined;
};

/*
 * 4. Two users are never mixed: what is written into a session was asked for as its user. Whose
 * session it is, a store knows by `userId` only. A function of the app decides by itself, and under
 * "overwrite" every session is one request's as a whole, which the first promise says.
 */
const usersAreNotMixed: Promised = (history) => {
  const { conflict, users, requireNewId } = history.rules;
  if (conflict !== "merge" || !users) return undefined;
  for (const { version, before } of transitions(history)) {
    if (version.places === null) continue;
    if (requireNewId && isLoginUnderOldId(history, version, before))
      return `${when(version)}: ${version.user} was logged in under ${version.sid}, which was anonymous`;
    for (const place of differences(before.places ?? new Map(), version.places)) {
      const leaf = version.places.get(place);
      if (leaf === undefined || leaf === "{}" || place === "user") continue;
      const authors = history.calls.filter(
        ({ sid, began, places }) =>
          sid === version.sid && began < version.order && places?.get(place) === leaf,
      );
      if (authors.length === 0 || authors.some(({ user }) => user === version.user)) continue;
      return `${when(version)}: ${place}=${leaf} was written by a request of ${authors[0]?.user ?? "nobody"} into a session of ${version.user ?? "nobody"}`;
    }
  }
  return undefined;
};

/* 5. Every live session of a user is listed, `destroyAllOf` leaves none, and a limit is never exceeded. */

/** In the end, when nothing is wrong any more. */
const usersFindTheirSessions: Promised = (history, lenient) => {
  const { finale, rules } = history;
  if (finale === undefined || !rules.users) return undefined;
  if (finale.failed.length > 0) return `nothing is wrong any more, but ${finale.failed[0]}`;
  for (const [user, all] of finale.live) {
    const live = all.filter((sid) => !isOverAt(history, sid, finale.at));
    for (const sid of live) {
      if (!finale.listedAgain.get(user)?.includes(sid)) {
        return `${sid} of ${user} was used again and is listed nowhere`;
      }
      if (finale.listed.get(user)?.includes(sid)) continue;
      const reason = whyUnlisted(history, sid, user, Number.POSITIVE_INFINITY);
      if (reason === undefined) return `${sid} of ${user} lives and is not listed`;
      lenient(reason);
    }
    const left = finale.left.get(user)?.filter((sid) => !isOverAt(history, sid, finale.at)) ?? [];
    if (left.length > 0) return `destroyAllOf ${user} has left ${left.join()}`;
    if (live.length <= (rules.limit ?? live.length)) continue;
    const reason = whyTooMany(history, user, live);
    if (reason === undefined)
      return `${user} has ${live.length} sessions, ${rules.limit} are allowed: ${live.join()}`;
    lenient(reason);
  }
  return undefined;
};

/** Meanwhile: each session whose login was confirmed before, and that is there throughout. */
const usersFindTheirSessionsMeanwhile: Promised = (history, lenient) => {
  for (const call of history.calls) {
    if (call.ended === undefined || call.error !== undefined) continue;
    if (call.what !== "sessionsOf" && call.what !== "destroyAllOf") continue;
    const user = call.user as string;
    for (const sid of history.versions.keys()) {
      if (
        call.except === sid ||
        isBeingDropped(history, sid, call) ||
        !isThroughout(history, sid, user, call) ||
        !isLoggedIn(history, sid, user, call.began)
      )
        continue;
      const listed = call.what === "sessionsOf" ? (call.answer as { sid: string }[]) : [];
      if (listed.some((entry) => entry.sid === sid)) continue;
      const reason = whyUnlisted(history, sid, user, call.ended, call.began);
      if (reason === undefined) return `${shown(call)}, but ${sid} was there all the while`;
      lenient(reason);
    }
  }
  return undefined;
};

/** A listing shows no session of anybody else. */
const onlyTheirsAreListed: Promised = (history) => {
  for (const call of history.calls) {
    if (call.what !== "sessionsOf" || call.ended === undefined || call.error !== undefined)
      continue;
    for (const { sid } of call.answer as { sid: string }[]) {
      const versions = history.during(sid, call.began, call.ended);
      if (versions.some(({ user }) => user === call.user)) continue;
      return `${shown(call)}, but ${sid} was ${versions[0]?.user ?? "nobody"}'s`;
    }
  }
  return undefined;
};

/** Who is refused because of the limit has as many sessions as are allowed, or may have. */
const theRefusedHaveTooMany: Promised = (history) => {
  const { limit } = history.rules;
  if (limit === undefined) return undefined;
  const lie = history.calls.find(
    (call) => call.error === "ERR_TOO_MANY_SESSIONS" && !areTaken(history, call, limit),
  );
  return lie && `${shown(lie)}, but ${lie.user} had fewer than ${limit} sessions`;
};

/** Only what is too much has to make room, and the one that was active last is not the first. */
const onlyTheExcessLeaves: Promised = (history) => {
  const { limit, rejects } = history.rules;
  if (limit === undefined) return undefined;
  for (const { version, before } of transitions(history)) {
    const { user } = before;
    if (version.why !== "removed" || user === undefined) continue;
    if (isAskedToEnd(history, version, before) || isEndedBySaving(history, version, before))
      continue;
    if (!isEnding(history, version, before)) {
      return `${when(version)}: ${version.sid} of ${user} was ended, and ${limit} sessions are allowed`;
    }
    if (isRevenant(history, version)) continue;
    const spared = rejects ? undefined : lessActive(history, version, user);
    if (spared === undefined) continue;
    return `${when(version)}: ${version.sid} of ${user} was ended, and not ${spared}, which was active before`;
  }
  return undefined;
};

/** In the end no index names a session that was made another user's, where everybody has heard what became of it. */
const indexesAreTidy: Promised = (history) => {
  const { finale, rules, deaths, losses, calls } = history;
  // Without a merge others do not know whose it was before, and neither do unconditional writes.
  if (rules.conflict !== "merge" || deaths.size > 0 || losses.length > 0) return undefined;
  for (const [user, sids] of finale?.entered ?? []) {
    for (const sid of sids) {
      const versions = history.versions.get(sid) ?? [];
      const last = versions.at(-1);
      if (last?.places == null || last.user === user) continue;
      if (versions.some(({ why }) => why === "failed over")) continue;
      if (calls.some((call) => call.sid === sid && (call.isWhole || isUnknown(call)))) continue;
      const theirs = versions.findLastIndex((version) => version.user === user);
      const left = versions[theirs + 1]?.order ?? 0;
      // Who was still at work for them has written the entry after it was dropped.
      const isLate = (call: Call) =>
        call.sid === sid && call.user === user && (call.ended ?? Number.POSITIVE_INFINITY) > left;
      if (calls.some(isLate)) continue;
      return `${sid} is ${last.user ?? "nobody"}'s, and the index of ${user} names it still`;
    }
  }
  return undefined;
};

/** 6. A process reads its own writes; and without a cache, everybody's. */
const readsAreTrue: Promised = (history) => {
  for (const call of history.calls) {
    if (call.what !== "get" || call.ended === undefined || call.error !== undefined) continue;
    const from = history.rules.cache ? oldestCached(history, call) : call.began;
    const versions = history.during(call.sid, from, call.ended);
    if (versions.some(({ places }) => samePlaces(places, call.read ?? null))) continue;
    if (call.read === null && versions.some((version) => isPast(history, version, call))) continue;
    return `${shown(call)}, but Redis held ${versions.map(({ places }) => shownPlaces(places)).join(", then ")}`;
  }
  return undefined;
};

/** 7. Every call settles within its bound, every callback is called once, nothing is left waiting, no rejection is unhandled. */
const callsSettle: Promised = (history) => {
  const { finale, rules, calls } = history;
  if (finale?.rejections.length) return `a rejection that nobody handled: ${finale.rejections[0]}`;
  for (const call of calls) {
    if (call.isAbandoned) continue;
    if (call.answers > 1) return `${shown(call)}: its callback was called ${call.answers} times`;
    if (call.ended === undefined) return `${shown(call)}: never answered`;
    if (call.error !== undefined && !call.error.startsWith("ERR_"))
      return `${shown(call)}: an error that is none of the store's`;
    const passed = (call.endedAt as number) - call.beganAt;
    if (call.error === "ERR_CONFLICT" && passed < rules.timeout)
      return `${shown(call)} after ${passed} ms, with a timeout of ${rules.timeout}`;
    const took = passed - stoppedDuring(history, call);
    if (took > boundOf(call) * rules.timeout)
      return `${shown(call)} took ${took} ms, with a timeout of ${rules.timeout}`;
  }
  for (const [name, count] of finale?.timers ?? []) {
    if (count > 0) return `${name} has ${count} timers left when everything is done`;
  }
  return undefined;
};

/** Errors say what is so, and who is told that others' changes were merged has met others. */
const answersAreTrue: Promised = (history) => {
  for (const call of history.calls) {
    if (call.answer === "MERGED" && !isOthersToo(history, call))
      return `${shown(call)}, but nobody else has written it`;
    if (call.error === "ERR_CONFLICT" && !isContended(history, call))
      return `${shown(call)} after ${call.tries} tries, but the session was not changed before each`;
    if (call.error === "ERR_INVALID_SESSION" && !isUnfit(history, call))
      return `${shown(call)}, but nothing is wrong with the session`;
  }
  return undefined;
};

/*
 * 8. Saving again is saving once: what another writer has replaced does not come back. Under
 * "overwrite" each save writes what it has, whatever is there; there saving again is a later write.
 */
const savesLandOnce: Promised = (history, lenient) => {
  if (history.rules.conflict === "overwrite") return undefined;
  for (const transition of transitions(history)) {
    const { version, before, index, all } = transition;
    if (version.places === null || before.places === null) continue;
    const writers = openCalls(history, version).filter(({ what }) => what === "save");
    // What is written whole, as a row of all(), is what it was when it was listed.
    if (writers.some((call) => isWholeOf(history, call, version))) continue;
    for (const place of differences(before.places, version.places)) {
      const leaf = version.places.get(place);
      if (leaf === undefined || leaf === "{}" || place === "user") continue;
      // A function of the app decides; this one takes whole values at the top.
      if (history.rules.conflict === "function" && place.includes("/")) continue;
      const earlier = all
        .slice(0, index)
        .findLastIndex(({ places }) => places?.get(place) === leaf);
      if (earlier < 0) continue;
      if (all.slice(earlier, index + 1).some(({ why }) => why === "failed over")) continue;
      const authors = writers.filter((call) => wants(call, place, leaf));
      if (authors.some((call) => isTakenBack(history, call, place, leaf))) continue;
      const first = all[earlier] as Version;
      if (authors.some((call) => isSentTwice(history, call, first, version))) {
        lenient("the client sent it twice");
      } else if (authors.some((call) => isUnknowable(history, call, first, before))) {
        lenient("overwritten before it was found");
      } else if (authors.some((call) => isTakenBackByOthers(history, call, first, before))) {
        lenient("changed back before it was found");
      } else if (isOfALateWrite(history, version) && isOfALateCreation(history, transition)) {
        lenient("late creation");
      } else {
        return `${when(version)}: ${place} of ${version.sid} became ${leaf} a second time, after it had become ${before.places.get(place) ?? "nothing"}`;
      }
    }
  }
  return undefined;
};

const PROMISES: readonly (readonly Promised[])[] = [
  [changesAreAskedFor, confirmedChangesWereThere, whatIsToldGoneIsGone],
  [theDeadStayDead, endingsEnd, lostLogoutsAreRepeated, theEndedAreNotRenewed],
  [livesAreBounded, nobodyDiesEarly, renewalsAreThere],
  [usersAreNotMixed],
  [
    usersFindTheirSessions,
    usersFindTheirSessionsMeanwhile,
    onlyTheirsAreListed,
    theRefusedHaveTooMany,
    onlyTheExcessLeaves,
    indexesAreTidy,
  ],
  [readsAreTrue, eventsAreTrue, notesAreTrue],
  [callsSettle, answersAreTrue],
  [savesLandOnce],
];
