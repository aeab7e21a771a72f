// What requests want a session to be, and what became of it.
import {
  type Call,
  type History,
  type Leaf,
  samePlaces,
  type Version,
  type Wish,
} from "../history.js";
import { firstOf, isUnknown, isWhole, wants } from "./calls.js";
import { versionBefore, wasBefore } from "./changes.js";
import { isPast } from "./lives.js";

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
    others.some(({ wishes }) =>
      [...wishes.keys()].some((at) => `${at}/`.startsWith(`${place}/`)),
    ) && others.some((other) => wished.some(([at, { value }]) => wants(other, at, value)))
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
