// The store's contract: what must hold at the end of every run. This file is the specification.

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
  shownPlaces,
  type Version,
} from "./history.js";
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
  "the very text was there again":
    "A command lay in the network past its deadline, a later save was confirmed, and one after that has made of the session, to the letter, what the command expects. A mark prevents that for as long as nothing is confirmed, and no longer.",
  "late creation":
    "A command that makes a session lay in the network past its deadline, and the session was ended meanwhile: an unconditional write knows nothing of that.",
  "the enclosing object was replaced":
    "A change beneath an object that another request removed or replaced is dropped: so a logout is not undone.",
  "the clock was set":
    "Lives are counted by the process's time of day, so one whose clock is set by d may be wrong by d.",
  "nobody could write the index":
    "A session was written and the process died, or got no answer, before it could write the entry: the next save or renewal makes up for it.",
  "the index was lost":
    "Eviction, FLUSHALL or a failover took the index: the next save or renewal of each session makes up for it.",
  "a failover took the renewal":
    "A process remembers what it renewed, and renews that again when it would change something: up to `touchAfter` later.",
  "code that loads nothing came between":
    "An unconditional write has an exact life and asks nobody; a request that has loaded the session before it and touches it after it does not know of it.",
  "the last writer wins":
    'Under "overwrite" a request with another cookie sets its own expiry, shorter or not, as with connect-redis.',
} as const;

/** All eight promises; the first that is broken. */
export function contract(history: History, leniencies: Leniencies): Broken | undefined {
  const lenient: Lenient = (reason) => leniencies.set(reason, (leniencies.get(reason) ?? 0) + 1);
  for (const [index, promise] of PROMISES.entries()) {
    const what = promise(history, lenient);
    if (what !== undefined) return { promise: index + 1, what };
  }
  return undefined;
}

type Promised = (history: History, lenient: Lenient) => string | undefined;

/**
 * 1. An acknowledged change is there, unless a later writer, an ending, an expiry, an eviction or a
 * failover took it. So: each change of Redis is one that a request asks for; each change that was
 * confirmed was in Redis; and who hears that a session is gone hears the truth.
 */
const changesAreKept: Promised = (history, lenient) => {
  const { conflict } = history.rules;
  for (const { version, before } of transitions(history)) {
    if (version.places === null || before.places === null || conflict === "overwrite") continue;
    const savers = openCalls(history, version).filter(({ what }) => what === "save");
    if (savers.some((call) => isWritten(call, version))) continue;
    for (const place of differences(before.places, version.places)) {
      const leaf = version.places.get(place);
      if (savers.some((call) => wants(call, place, leaf))) continue;
      if (leaf === "{}" || (leaf === undefined && isEnclosed(place, before.places, version.places)))
        continue;
      if (leaf === undefined && before.places.get(place) === "{}") continue;
      // A function of the app decides; this one takes whole values at the top.
      const outer = place.split("/")[0] as string;
      if (
        conflict === "function" &&
        savers.some(({ wishes }) => [...wishes.keys()].some((each) => each.split("/")[0] === outer))
      )
        continue;
      if (isBackAgain(history, version, before)) {
        lenient("the very text was there again");
        break;
      }
      return `${at(version)}: ${place} of ${version.sid} was ${before.places.get(place) ?? "nothing"} and became ${leaf ?? "nothing"}, which no request under way asked for`;
    }
  }
  for (const call of history.calls) {
    if (call.what !== "save" || call.ended === undefined || call.isWhole) continue;
    if (call.answer === "GONE") {
      if (!isReallyGone(history, call))
        return `${shown(call)}, but the session was there all the while, and the same user's`;
      continue;
    }
    if (!isConfirmed(call) || conflict === "overwrite") continue;
    for (const [place, { value, since, isUndone, instead }] of call.wishes) {
      const versions = history.during(call.sid, Math.min(since, call.began), call.ended);
      const isThere = versions.some(({ places }) =>
        isUndone
          ? // An object that is there again may be another request's.
            instead === "{}" || places?.get(place) !== instead
          : places !== null && same(places.get(place), value),
      );
      if (isThere) continue;
      const [outer, inner] = place.split("/");
      if (
        inner !== undefined &&
        versions.some(({ places }) => places?.get(outer as string) !== "{}")
      ) {
        lenient("the enclosing object was replaced");
        continue;
      }
      return `${shown(call)}, but ${place} was never ${value ?? "nothing"}`;
    }
  }
  return undefined;
};

/** 2. What was ended stays ended: only a new session, or code that loads nothing, makes one where none is. */
const theDeadStayDead: Promised = (history, lenient) => {
  for (const { version, before, index, all } of transitions(history)) {
    if (before.places !== null || version.places === null) continue;
    const makers = history.calls.filter(
      (call) =>
        call.what === "save" &&
        call.isNew &&
        call.sid === version.sid &&
        call.process === version.process &&
        call.began < version.order &&
        isWritten(call, version),
    );
    if (makers.some((call) => isOpen(history, call, version.order))) {
      if (makers.every((call) => wasEnded(history, call, version.order))) lenient("late creation");
      continue;
    }
    // Each was sent once, or twice by a client that repeats it, and one came late, whatever its object has got answered since.
    const landed = all.filter(
      ({ places }, at) => at < index && places !== null && (all[at - 1]?.places ?? null) === null,
    );
    const unknown = makers.filter(({ error }) => error !== undefined && !DEFINITE.has(error));
    if (
      unknown.length > 0 &&
      landed.filter(({ text }) => text === version.text).length < 2 * makers.length
    ) {
      lenient("late creation");
      continue;
    }
    return `${at(version)}: ${version.sid} was gone and came back as ${shownPlaces(version.places)}`;
  }
  for (const call of history.calls) {
    if ((call.what !== "destroy" && call.what !== "destroyOf") || call.ended === undefined)
      continue;
    const versions = history.during(call.sid, call.began, call.ended);
    // Meanwhile it may have been another user's, and `destroyOf` ends none of those.
    if (call.what === "destroyOf" && versions.some(({ user }) => user !== call.user)) continue;
    if (call.error === undefined && versions.every(({ places }) => places !== null)) {
      return `${shown(call)}, but the session was there all the while`;
    }
    // One without an answer is made up for, when Redis answers again.
    const isLost = call.error === "ERR_TIMEOUT" || call.error === "ERR_UNAVAILABLE";
    if (!isLost || call.what !== "destroy" || history.deaths.has(call.process)) continue;
    // What the app stores anew takes the removal back.
    const isAnew = (other: Call) =>
      other.isNew &&
      other.sid === call.sid &&
      other.process === call.process &&
      (other.ended ?? Infinity) > call.began;
    if (history.calls.some(isAnew)) continue;
    const last = history.during(call.sid, call.began, Number.POSITIVE_INFINITY);
    if (last.every(({ places }) => places !== null)) {
      return `${shown(call)}, Redis answers again, and the session is still there`;
    }
  }
  return undefined;
};

/** 3. Nobody dies before the idle timeout, nor lives past it by more than the slack. */
const livesAreAsLongAsTheyShould: Promised = (history, lenient) => {
  const { rules } = history;
  // A touch that is not to do anything answers and does nothing.
  const calls = history.calls.filter(({ what }) => what !== "touch" || !rules.disableTouch);
  /** Whether a life may be wrong by so much, since clocks were set that counted it. */
  const clockSet = (sid: string, by: number) => {
    const set = history.steps
      .filter(({ process }) => calls.some((call) => call.sid === sid && call.process === process))
      .reduce((sum, { ms }) => sum + Math.abs(ms), 0);
    return set > 0 && by <= set + 2;
  };
  for (const { version, before } of transitions(history)) {
    if (version.places !== null && (version.ends === undefined) !== rules.disableTTL) {
      return `${at(version)}: ${version.sid} ${rules.disableTTL ? "ends" : "never ends"}`;
    }
    const { sid, order, time } = version;
    // A write that keeps the life that was there gives none.
    const isKept = before.places !== null && version.ends === before.ends;
    if (version.why === "written" && version.ends !== undefined && !isKept) {
      const idle = version.maxAge ?? rules.idle;
      const slack = rules.rolling ? Math.min(rules.touchAfter, idle / 60) : 0;
      const most = Math.ceil(idle + slack) + 2;
      // What was asked for by an object whose cookie is another one is its own business.
      const asked = Math.max(
        most,
        ...openCalls(history, version).map((call) => (call.idle ?? 0) * (1 + 1 / 60) + 2),
      );
      if (version.ends - time > asked) {
        if (clockSet(sid, version.ends - time - asked)) lenient("the clock was set");
        else if (rules.conflict === "overwrite") lenient("the last writer wins");
        else
          return `${at(version)}: ${sid} lives for ${version.ends - time} ms, ${idle} are asked for and ${Math.floor(slack)} are allowed more`;
      }
    }
    if (before.places === null) continue;
    // Who was active, and was told so, lives on from there.
    const due = dueBefore(history, calls, sid, order, version.places === null ? before : version);
    if (due === undefined) continue;
    const ends = version.why === "expired" ? time : version.ends;
    if (version.why === "removed" && isEnding(history, version)) continue;
    // A request that asks for a shorter life has it.
    if (
      openCalls(history, version).some(
        ({ idle }) => idle !== undefined && idle < (due.call.idle as number) - 500,
      )
    )
      continue;
    if (version.why !== "expired" && version.why !== "written" && version.why !== "removed")
      continue;
    const until = version.why === "removed" ? time : (ends ?? Number.POSITIVE_INFINITY);
    if (until + 1 >= due.until) continue;
    if (clockSet(sid, due.until - until)) lenient("the clock was set");
    else if (isShortened(history, due.call)) lenient("the last writer wins");
    else
      return `${at(version)}: ${sid} ${version.places === null ? "is gone" : "ends"} ${due.until - until} ms before its idle timeout: ${shown(due.call)}`;
  }
  // What was told to be renewed is.
  for (const call of calls) {
    if (
      (call.what !== "touch" && call.what !== "save") ||
      !isConfirmed(call) ||
      call.idle === undefined
    )
      continue;
    if (call.answer === "EXPIRED" || call.isWhole) continue;
    const version = history.at(call.sid, call.ended as number);
    if (version.places === null || version.ends === undefined) continue;
    const until = untilOf(history, call, version);
    if (until === undefined || version.ends + 1 >= until) continue;
    const isOvertaken = calls.some(
      (other) => other.isWhole && other.sid === call.sid && isWritten(other, version),
    );
    if (version.why === "failed over") lenient("a failover took the renewal");
    else if (isOvertaken) lenient("code that loads nothing came between");
    else if (clockSet(call.sid, until - version.ends)) lenient("the clock was set");
    else if (isShortened(history, call)) lenient("the last writer wins");
    else
      return `${shown(call)}, but the session ends ${until - version.ends} ms before its idle timeout`;
  }
  return undefined;
};

/** 4. Two users are never mixed: what is written into a session was asked for as its user. */
const usersAreNotMixed: Promised = (history) => {
  const { conflict, users } = history.rules;
  // Whose session it is, a store knows by `userId` only; and a function of the app decides by itself.
  if (conflict !== "merge" || !users) return undefined;
  for (const { version, before } of transitions(history)) {
    if (version.places === null) continue;
    const isLogin = before.places !== null && before.user === undefined && version.user;
    const savers = openCalls(history, version);
    if (history.rules.requireNewId && isLogin && !savers.some((call) => isWritten(call, version))) {
      return `${at(version)}: ${version.user} was logged in under ${version.sid}, which was anonymous`;
    }
    for (const place of differences(before.places ?? new Map(), version.places)) {
      const leaf = version.places.get(place);
      if (leaf === undefined || leaf === "{}" || place === "user") continue;
      const authors = history.calls.filter(
        (call) =>
          call.sid === version.sid &&
          call.began < version.order &&
          same(call.places?.get(place), leaf),
      );
      if (authors.length > 0 && authors.every(({ user }) => user !== version.user)) {
        return `${at(version)}: ${place}=${leaf} was written by a request of ${authors[0]?.user ?? "nobody"} into a session of ${version.user ?? "nobody"}`;
      }
    }
  }
  return undefined;
};

/** 5. Every live session of a user is listed, `destroyAllOf` leaves none, and a limit is never exceeded. */
const usersFindTheirSessions: Promised = (history, lenient) => {
  const { finale, rules } = history;
  if (finale === undefined || !rules.users) return undefined;
  if (finale.failed.length > 0) return `nothing is wrong any more, but ${finale.failed[0]}`;
  // What has come to its deadline is over, though its key may live on: that counts from when the
  // command arrived.
  const isOver = (sid: string) => {
    const last = history.versions.get(sid)?.findLast(({ places }) => places !== null);
    if (last?.created === undefined) return false;
    return last.created + limitOf(rules, last.maxAge ?? rules.idle) <= finale.at;
  };
  for (const [user, live] of finale.live) {
    for (const sid of live) {
      if (isOver(sid)) continue;
      if (!finale.listedAgain.get(user)?.includes(sid)) {
        return `${sid} of ${user} was used again and is listed nowhere`;
      }
      if (finale.listed.get(user)?.includes(sid)) continue;
      const versions = history.versions.get(sid) ?? [];
      const last = versions.findLast(({ why }) => why === "written") as Version;
      const became = versions.findLast(
        (version, index) => version.user === user && versions[index - 1]?.user !== user,
      ) as Version;
      const writers = history.calls.filter(
        (call) =>
          call.sid === sid &&
          call.began < last.order &&
          (call.error !== undefined || (call.ended ?? Infinity) > became.order),
      );
      if (
        history.losses.some((order) => order > became.order) ||
        became.why === "failed over" ||
        last.why === "failed over"
      )
        lenient("the index was lost");
      else if (writers.some((call) => call.error !== undefined || call.ended === undefined))
        lenient("nobody could write the index");
      else return `${sid} of ${user} lives and is not listed`;
    }
    const left = finale.left.get(user)?.filter((sid) => !isOver(sid)) ?? [];
    if (left.length > 0) return `destroyAllOf ${user} has left ${left.join()}`;
    if (rules.limit !== undefined && live.length > rules.limit) {
      const isLost = history.losses.length > 0;
      const isUnknown = history.calls.some(
        (call) => call.error !== undefined || call.ended === undefined,
      );
      if (isLost) lenient("the index was lost");
      else if (isUnknown) lenient("nobody could write the index");
      else return `${user} has ${live.length} sessions, ${rules.limit} are allowed: ${live.join()}`;
    }
  }
  return undefined;
};

/** 6. A process reads its own writes; and without a cache, everybody's. */
const readsAreTrue: Promised = (history) => {
  const { cache, timeout } = history.rules;
  for (const call of history.calls) {
    if (call.what !== "get" || call.ended === undefined || call.error !== undefined) continue;
    let from = call.began;
    if (cache) {
      const oldest = call.beganAt - PING_INTERVAL - timeout;
      from = history.calls.find(({ beganAt }) => beganAt >= oldest)?.began ?? call.began;
      const versions = history.versions.get(call.sid) ?? [];
      for (const own of history.calls) {
        if (own.process !== call.process || own.sid !== call.sid) continue;
        if (own.what === "get" || own.ended === undefined || own.ended > call.began) continue;
        if (own.error === undefined) from = Math.max(from, lastBefore(versions, own));
      }
    }
    const versions = history.during(call.sid, Math.min(from, call.began), call.ended);
    if (versions.some(({ places }) => samePlaces(places, call.read ?? null))) continue;
    const isOver = call.read === null && versions.some((version) => isPast(history, version, call));
    if (isOver) continue;
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
    const stopped = history.stops
      .filter(
        ({ process, until, from }) =>
          process === call.process && until > call.beganAt && from < (call.endedAt as number),
      )
      .reduce((sum, { from, until }) => sum + until - from, 0);
    const took = (call.endedAt as number) - call.beganAt - stopped;
    const passed = (call.endedAt as number) - call.beganAt;
    if (call.error === "ERR_CONFLICT" && passed < rules.timeout) {
      return `${shown(call)} after ${passed} ms, with a timeout of ${rules.timeout}`;
    }
    const most = boundOf(call) * rules.timeout;
    if (took > most) return `${shown(call)} took ${took} ms, with a timeout of ${rules.timeout}`;
  }
  for (const [name, count] of finale?.timers ?? []) {
    if (count > 0) return `${name} has ${count} timers left when everything is done`;
  }
  return undefined;
};

/** 8. Saving again is saving once: what another writer has replaced does not come back. */
const savesLandOnce: Promised = (history, lenient) => {
  if (history.rules.conflict === "overwrite") return undefined;
  for (const { version, before, index, all } of transitions(history)) {
    if (version.places === null || before.places === null) continue;
    // What is written whole, as a row of all(), is what it was when it was listed.
    if (openCalls(history, version).some((call) => call.isWhole && isWritten(call, version))) {
      continue;
    }
    for (const place of differences(before.places, version.places)) {
      const leaf = version.places.get(place);
      if (leaf === undefined || leaf === "{}" || place === "user") continue;
      // A function of the app decides; this one takes whole values at the top.
      if (history.rules.conflict === "function" && place.includes("/")) continue;
      const earlier = all
        .slice(0, index)
        .findLastIndex(({ places }) => same(places?.get(place), leaf));
      if (earlier < 0) continue;
      const writers = openCalls(history, version).filter(
        (call) => call.what === "save" && wants(call, place, leaf),
      );
      if (
        writers.some(
          (call) => call.wishes.get(place)?.isUndone || isTakenBack(history, call, place, leaf),
        )
      )
        continue;
      if (all.slice(earlier, index + 1).some(({ why }) => why === "failed over")) continue;
      const first = all[earlier] as Version;
      const isHidden = writers.some((call) => !isRecognisable(call, first, before));
      if (isHidden) {
        lenient("overwritten before it was found");
        continue;
      }
      return `${at(version)}: ${place} of ${version.sid} became ${leaf} a second time, after it had become ${before.places.get(place) ?? "nothing"}`;
    }
  }
  return undefined;
};

const PROMISES: readonly Promised[] = [
  changesAreKept,
  theDeadStayDead,
  livesAreAsLongAsTheyShould,
  usersAreNotMixed,
  usersFindTheirSessions,
  (history, lenient) =>
    readsAreTrue(history, lenient) ?? eventsAreTrue(history) ?? notesAreTrue(history),
  callsSettle,
  savesLandOnce,
];

/** How long a cache may not notice that its connection is dead, beside `timeout`. */
const PING_INTERVAL = 1000;

interface Transition {
  readonly version: Version;
  readonly before: Version;
  readonly index: number;
  readonly all: readonly Version[];
}

/** Every change that a command or time made to a session. */
function* transitions(history: History): Generator<Transition> {
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

/** Whether a call may still do something: it is under way, or nobody knows what became of it. */
function isOpen(history: History, call: Call, order: number): boolean {
  if (call.ended === undefined || call.ended >= order) return true;
  if (isKnown(call)) return false;
  // The next confirmation of its object tells what became of it.
  const later = history.calls.find(
    (other) =>
      other.object !== undefined &&
      other.object === call.object &&
      other.number > call.number &&
      other.what === "save" &&
      other.ended !== undefined &&
      isConfirmed(other),
  );
  return later === undefined || (later.ended as number) >= order;
}

function openCalls(history: History, version: Version): Call[] {
  return history.calls.filter(
    (call) =>
      call.sid === version.sid &&
      call.process === version.process &&
      call.began < version.order &&
      isOpen(history, call, version.order),
  );
}

/** What became of it is known. */
function isKnown(call: Call): boolean {
  return call.error === undefined ? call.ended !== undefined : DEFINITE.has(call.error);
}

function isConfirmed(call: Call): boolean {
  return call.ended !== undefined && call.error === undefined && call.answer !== "GONE";
}

/** Whether a version is the object as a whole. */
function isWritten(call: Call, version: Version): boolean {
  return (call.isNew || call.isWhole) && samePlaces(call.places, version.places);
}

function wants(call: Call, place: string, leaf: Leaf): boolean {
  const wish = call.wishes.get(place);
  return wish !== undefined && same(wish.value, leaf);
}

function same(a: Leaf, b: Leaf): boolean {
  return a === b;
}

function differences(before: Places, after: Places): string[] {
  const places = new Set([...before.keys(), ...after.keys()]);
  return [...places].filter((place) => !same(before.get(place), after.get(place)));
}

/** Whether a place went with the object that it was in. */
function isEnclosed(place: string, before: Places, after: Places): boolean {
  const [outer = "", inner] = place.split("/");
  return inner !== undefined && before.get(outer) === "{}" && after.get(outer) !== "{}";
}

/** Whether a session was gone, or another user's, at some time during a call. */
function isReallyGone(history: History, call: Call): boolean {
  // It is another one's, or it is over, from the time when it was loaded on.
  const versions = history.during(call.sid, call.began, call.ended as number);
  if (versions.some(({ places }) => places === null)) return true;
  if (
    versions.some((version) => version.user !== call.userBefore || isPast(history, version, call))
  )
    return true;
  const destroyed = history.calls.some(
    (other) =>
      other.what === "destroy" &&
      other.sid === call.sid &&
      other.process === call.process &&
      other.began < (call.ended as number) &&
      other.error !== undefined,
  );
  return destroyed;
}

/** Whether a session is over by its own rules, at some time during a call, as the process takes it. */
function isPast(history: History, version: Version, call: Call): boolean {
  const { rules } = history;
  if (version.places === null) return false;
  const now = call.wall + ((call.endedAt ?? call.beganAt) - call.beganAt);
  const idle = version.maxAge ?? rules.idle;
  if (version.created !== undefined && version.created + limitOf(rules, idle) <= now + 1)
    return true;
  return version.ends !== undefined && version.ends <= now + 1 + Math.abs(call.wall - call.beganAt);
}

/** Whether a late command found what it expects because the session had come back to that. */
function isBackAgain(history: History, version: Version, before: Version): boolean {
  const all = history.versions.get(version.sid) ?? [];
  const last = all.lastIndexOf(before);
  const between = all.slice(0, last).findLastIndex(({ text }) => text !== before.text);
  return (
    all.slice(0, between + 1).some(({ text }) => text === before.text) &&
    history.calls.some(
      (call) =>
        call.sid === version.sid &&
        call.process === version.process &&
        call.error !== undefined &&
        call.began < version.order,
    )
  );
}

/** How long after its creation a session ends at the latest. */
function limitOf({ rolling, deadline = Number.POSITIVE_INFINITY }: Rules, idle: number): number {
  return rolling ? deadline : Math.min(idle, deadline);
}

/** Whether the session that a call makes was ended after the call began. */
function wasEnded(history: History, call: Call, order: number): boolean {
  const versions = history.during(call.sid, call.began, order - 1);
  return versions.some(({ why }) => why === "removed") && versions.length > 1;
}

/** Whether a removal was asked for. */
function isEnding(history: History, version: Version): boolean {
  const endings = ["destroy", "destroyOf", "destroyAllOf", "clear"];
  const { rules } = history;
  if (rules.limit !== undefined) return true;
  return history.calls.some(
    (call) =>
      endings.includes(call.what) &&
      call.process === version.process &&
      call.began < version.order &&
      ((call.what !== "destroy" && call.what !== "destroyOf") || call.sid === version.sid) &&
      call.except !== version.sid &&
      (call.ended === undefined || call.ended > version.order || call.error !== undefined),
  );
}

/** Until when a session has to live for a call that was confirmed; `undefined`: that cannot be told. */
function untilOf(history: History, call: Call, version: Version): number | undefined {
  const { rules } = history;
  const idle = call.idle as number;
  const now = version.maxAge ?? rules.idle;
  // Another request has changed how long it lives; originalMaxAge drifts with the clock.
  if (Math.abs(now - idle) > 1000) return undefined;
  const created = version.created;
  const limit = Math.min(
    rules.rolling ? Infinity : Math.min(idle, now),
    rules.deadline ?? Infinity,
  );
  const until = call.beganAt + Math.min(idle, now);
  if (limit === Infinity) return until;
  return created === undefined ? undefined : Math.min(until, created + limit);
}

/** Whether a request with a cookie that ends sooner has had the last word since. */
function isShortened(history: History, call: Call): boolean {
  const idle = call.idle as number;
  const { conflict, rolling, deadline } = history.rules;
  if (conflict !== "overwrite") return false;
  // Or one that counts from another creation.
  const isDated = !rolling || deadline !== undefined;
  return (
    (isDated && history.calls.some(({ sid, isWhole }) => sid === call.sid && isWhole)) ||
    history.calls.some(
      (other) =>
        other.sid === call.sid &&
        (other.error !== undefined || (other.ended ?? Number.POSITIVE_INFINITY) > call.began) &&
        (other.idle ?? idle) < idle - 500,
    )
  );
}

/** The latest that a session has to live to for what was confirmed before. */
function dueBefore(
  history: History,
  calls: readonly Call[],
  sid: string,
  order: number,
  version: Version,
): { until: number; call: Call } | undefined {
  const { rules } = history;
  let due: { until: number; call: Call } | undefined;
  for (const call of calls) {
    if (
      call.sid !== sid ||
      call.idle === undefined ||
      !isConfirmed(call) ||
      (call.ended as number) >= order
    )
      continue;
    if ((call.what !== "touch" && call.what !== "save") || call.answer === "EXPIRED") continue;
    // Meanwhile it was another session.
    if (
      history.during(sid, call.ended as number, order - 1).some(
        ({ places, why, maxAge = rules.idle }) =>
          places === null ||
          why === "failed over" ||
          // Or one that asks for another life, which a row of all() keeps.
          Math.abs(maxAge - (call.idle as number)) > 1000,
      )
    )
      continue;
    const until = untilOf(history, call, version);
    if (until !== undefined && (due === undefined || until > due.until)) due = { until, call };
  }
  return due;
}

/** When what a confirmed call has written, or found, became what it was. */
function lastBefore(versions: readonly Version[], call: Call): number {
  const own = versions.findLast(
    ({ order, process }) =>
      order > call.began && order <= (call.ended as number) && process === call.process,
  );
  return own?.order ?? 0;
}

/** Whether a request that took the value back has since set it again. */
function isTakenBack(history: History, call: Call, place: string, leaf: Leaf): boolean {
  return history.calls.some(
    (other) =>
      other.object === call.object &&
      other.number < call.number &&
      other.what === "save" &&
      !same(other.places?.get(place), leaf) &&
      history.calls.some(
        (first) =>
          first.object === call.object &&
          first.number < other.number &&
          same(first.places?.get(place), leaf),
      ),
  );
}

/** Whether of a save that landed something is left by which it can be known. */
function isRecognisable(call: Call, landed: Version, before: Version): boolean {
  return [...call.wishes].some(
    ([place, { value }]) =>
      value !== undefined &&
      value !== "{}" &&
      same(landed.places?.get(place), value) &&
      same(before.places?.get(place), value),
  );
}

function shown(call: Call): string {
  const answer = call.ended === undefined ? "" : ` and was told ${shownAnswer(call)}`;
  return `${call.actor} on ${call.process} ${shownCall(call)}${answer}`;
}

function at(version: Version): string {
  return `at ${version.time % 1_000_000}, by ${version.process ?? "the server"}`;
}

/** How many times `timeout` a call may take: it is what one round trip may. */
function boundOf({ what }: Call): number {
  if (what === "get") return 3;
  return what === "save" || what === "touch" || what === "destroy" ? 16 : 60;
}
