// The calls of a history: what became of them, and which may have done something.
import { type Call, DEFINITE, type History, type Leaf, type Version } from "../history.js";

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
export function callsFor(history: History, version: Version): Call[] {
  return history.calls.filter(
    (call) =>
      call.sid === version.sid && call.process === version.process && call.began < version.order,
  );
}

/** Whether a call writes its object as a whole, whatever is there. */
export function isWhole({ rules }: History, call: Call): boolean {
  return call.isWhole || rules.conflict === "overwrite";
}

export function wants(call: Call, place: string, leaf: Leaf): boolean {
  const wish = call.wishes.get(place);
  return wish !== undefined && wish.value === leaf;
}

/** The first save of the object that a call saves. */
export function firstOf({ calls }: History, call: Call): Call {
  const first = calls.find(({ object, what }) => what === "save" && object === call.object);
  return call.object === undefined ? call : (first as Call);
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

/** For so many times `timeout` the store reckons with a command that got no answer. */
export const LATEST = 3;
