// The versions of a session: what each changed, and what code it is of.

import { OBSERVER } from "../client.js";
import { type Call, type History, type Places, samePlaces, type Version } from "../history.js";
import { callsFor, isUnknown } from "./calls.js";

export interface Transition {
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
export function wasBefore(history: History, version: Version): boolean {
  const all = history.versions.get(version.sid) ?? [];
  return all.some(
    ({ order, places }) => order < version.order && samePlaces(places, version.places),
  );
}

export function versionBefore(history: History, version: Version): Version | undefined {
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

/** How long a cache may not notice that its connection is dead, beside `timeout`. */
const PING_INTERVAL = 1000;

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
