// How many sessions a user had at one time, and which had to make room.
import type { Call, History, Version } from "../history.js";
import { isAskedToEnd, isConfirmed, isUnderWay, isUnknown, LATEST } from "./calls.js";
import { becameOf, isLoggedIn, whyUnlisted } from "./users.js";

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
export function isOneTooMany(
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
