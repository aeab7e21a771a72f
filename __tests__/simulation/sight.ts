// What a store tells of what happens: the events of `watch()`, and why a session is gone.
import { shownAnswer, shownCall } from "./actors.js";
import type { Call, History, Version } from "./history.js";

/** What `watch()` tells has happened, in this order and not more often; and without a gap it tells everything. */
export function eventsAreTrue(history: History): string | undefined {
  for (const { process, since, until, events, hasGap } of history.watches) {
    for (const [sid, versions] of history.versions) {
      const told = events.filter((each) => each.sid === sid);
      const happened = versions.filter(({ event }) => event !== undefined);
      let next = 0;
      for (const { event, order } of told) {
        const found = happened.findIndex((each, at) => at >= next && each.event === event);
        if (found < 0 || (happened[found] as Version).order > order) {
          return `${process} hears that ${sid} was ${event}, which it was not`;
        }
        next = found + 1;
      }
      if (hasGap || history.isTroubled) continue;
      next = 0;
      for (const { event, order, time } of happened) {
        // A renewal right after a write cannot be told from it.
        if (order < since || order > until || event === "touched") continue;
        const found = told.findIndex((each, at) => at >= next && each.event === event);
        if (found < 0) {
          return `${process} does not hear that ${sid} was ${event} at ${time % 1_000_000}`;
        }
        next = found + 1;
      }
    }
  }
  return undefined;
}

/** Who asks why a session is gone hears the truth, as far as notes were kept. */
export function notesAreTrue(history: History): string | undefined {
  for (const call of history.calls) {
    if (call.what !== "whyGone" || call.ended === undefined || call.error !== undefined) continue;
    const { reason } = (call.answer ?? {}) as { reason?: string };
    const versions = history.during(call.sid, call.began, call.ended);
    if (reason === undefined) {
      if (versions.some(({ places }) => places !== null)) continue;
      return `${shown(call)}, but there was nothing`;
    }
    const asked = (other: Call) => other.began < (call.ended as number);
    const endings = history.calls.filter((other) => isEndingOf(other, call.sid) && asked(other));
    if (reason === "logout" && !endings.some(({ what }) => what === "destroy")) {
      return `${shown(call)}, which nobody asked for`;
    }
    if (reason === "revoked" && !endings.some(({ what }) => what !== "destroy")) {
      return `${shown(call)}, which nobody asked for`;
    }
    if (reason === "limit" && history.rules.limit === undefined) {
      return `${shown(call)}, and there is no limit`;
    }
    if (reason !== "expired-or-evicted" || history.isTroubled) continue;
    const isLost = [...history.forgotten, ...history.losses].some(
      (order) => order < (call.ended as number),
    );
    const removal = history.at(call.sid, call.began);
    const isBy = ({ process, began, ended = Number.POSITIVE_INFINITY }: Call) =>
      process === removal.process && began < removal.order && removal.order < ended;
    // What empties the store leaves no notes.
    if (removal.why !== "removed" || history.calls.some((by) => by.what === "clear" && isBy(by)))
      continue;
    // The note goes out just before the removal; where the server has to learn the script, just after it.
    const isDone = (by: Call) => by.error === undefined && (by.ended as number) < call.began;
    // Of two that end it at once one may take back the note on which the other relied.
    const isBeside = (by: Call) => endings.some((other) => other !== by && overlaps(other, by));
    const noted = endings.find((by) => isBy(by) && isDone(by));
    if (noted && !isLost && !isBeside(noted)) {
      return `${shown(call)}, but ${shown(noted)}`;
    }
  }
  return undefined;
}

function overlaps(a: Call, b: Call): boolean {
  const { POSITIVE_INFINITY } = Number;
  return a.began < (b.ended ?? POSITIVE_INFINITY) && b.began < (a.ended ?? POSITIVE_INFINITY);
}

/** Whether a call is about ending a session on purpose, so that a note of it is left. */
function isEndingOf({ what, sid, except }: Call, ended: string): boolean {
  if (what === "destroyAllOf") return except !== ended;
  return (what === "destroy" || what === "destroyOf") && sid === ended;
}

function shown(call: Call): string {
  const answer = call.ended === undefined ? "" : ` and was told ${shownAnswer(call)}`;
  return `${call.actor} on ${call.process} ${shownCall(call)}${answer}`;
}
