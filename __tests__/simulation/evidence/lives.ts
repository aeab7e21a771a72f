// How long sessions have to live, and may.
import { type Call, DEFINITE, type History, type Rules, type Version } from "../history.js";
import { callsFor, isRenewal, isUnderWay, isUnknown, openCalls } from "./calls.js";

/** By so much an idle timeout is another one, in ms: `originalMaxAge` drifts with the clock. */
const DRIFT = 1000;

/** How long after its creation a session ends at the latest. */
export function limitOf(
  { rolling, deadline = Number.POSITIVE_INFINITY }: Rules,
  idle: number,
): number {
  return rolling ? deadline : Math.min(idle, deadline);
}

function slackOf({ rolling, touchAfter }: Rules, idle: number): number {
  return rolling ? Math.min(touchAfter, idle / 60) : 0;
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

/** Whether a session has come to its deadline, though its key may live on: that counts from when the command arrived. */
export function isOverAt(history: History, sid: string, at: number): boolean {
  const { rules } = history;
  const last = history.versions.get(sid)?.findLast(({ places }) => places !== null);
  if (last?.created === undefined) return false;
  return last.created + limitOf(rules, last.maxAge ?? rules.idle) <= at;
}
