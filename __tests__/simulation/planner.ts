// Draws what a run is to do from its seed.
import { FAULTS } from "./client.js";
import { type Actor, type Plan, type Step, type Trouble, USERS, type Variant } from "./plan.js";
import { SCENES } from "./scenes.js";
import { Chance } from "./time.js";

const PLACES = ["x", "y", "z", "box/a", "box/b", "box"];

/** The plan of a seed. */
export function planOf(seed: number): Plan {
  const chance = new Chance(seed);
  let asked = 0;
  const name = () => `plan ${asked++}`;
  const often = (share: number) => chance.of(name()) < share;
  const pick = <T>(choices: readonly T[]): T => chance.pick(choices, name());
  const below = (most: number) => chance.below(most, name());
  /** By a name of its own: what is added leaves the plans of other seeds as they were. */
  const also = (what: string, share: number) => chance.of(what) < share;

  const users = often(0.5);
  const limited = users && often(0.4);
  const rolling = !often(0.12);
  const absolute = often(0.12);
  const scene = also("a scene", 0.5) ? chance.pick(SCENES, "which scene") : undefined;
  const usual: Variant = {
    rolling,
    absolute,
    touchAfter: pick([60, 60, 0]),
    conflict: pick(["merge", "merge", "merge", "merge", "function", "overwrite"]),
    users,
    limit: limited ? pick([1, 2]) : undefined,
    rejects: limited && often(0.5),
    cache: often(0.25),
    serializer: pick(["json", "json", "json", "salted", "slow", "binary"]),
    native: often(0.5),
    endings: often(0.2),
    sealed: often(0.15) && (also("two keys", 0.5) ? "two keys" : "one key"),
    disableTTL: rolling && !absolute && also("no ends", 0.04),
    disableTouch: also("no touch", 0.04),
    requireNewId: users && also("new ids", 0.1),
  };
  const variant = { ...usual, ...scene?.options(chance) };
  const processes = Math.max(pick([1, 2, 2, 3]), scene === undefined ? 1 : 2);
  const troubled = often(0.4);
  const browsers = pick([1, 1, 2, 3]);

  const place = () => pick(PLACES);
  const change = (): Step => {
    const kind = below(12);
    if (kind < 7) return { do: "set", place: place() };
    if (kind < 9) return { do: "delete", place: place() };
    if (kind === 9) return { do: "maxAge", ms: pick([3000, 4000, 9000]) };
    if (kind === 10) return { do: "undo" };
    return often(0.75) ? { do: "log in", user: pick(USERS) } : { do: "log out" };
  };
  const wait = (): Step => ({ do: "wait", ms: pick([1, 3, 10, 30, 100, 100, 400, 2500, 5500]) });
  const request = (): Step[] => {
    const steps: Step[] = [{ do: "request" }];
    for (let left = below(4); left > 0; left--) {
      if (often(0.3)) steps.push(wait());
      if (often(0.8)) steps.push(change());
      const isTroubled = troubled && often(0.3);
      if (isTroubled) steps.push({ do: "trouble", fault: pick(FAULTS) });
      if (isTroubled || often(0.4)) steps.push({ do: "save" });
      // What failed is tried again.
      if (often(isTroubled ? 0.8 : 0.2))
        steps.push(often(0.3) ? { do: "undo" } : change(), { do: "save" });
      if (often(0.1)) steps.push({ do: "save" });
    }
    const end = below(14);
    if (troubled && end < 3 && often(0.4)) steps.push({ do: "trouble", fault: pick(FAULTS) });
    if (end === 0) steps.push({ do: "destroy" });
    else if (end === 1) steps.push({ do: "regenerate" }, change(), { do: "save" });
    else if (end === 2) steps.push({ do: "regenerate" }, { do: "log in", user: pick(USERS) });
    else if (end === 3) steps.push({ do: "log in", user: pick(USERS) }, { do: "save" });
    steps.push({ do: "respond" });
    return steps;
  };
  const odd = (): Step[] => {
    switch (below(8)) {
      case 0:
      case 1:
        return [{ do: "plain", place: place() }];
      case 2:
        return [{ do: "overwrite", place: place() }];
      case 3:
      case 4:
        return [{ do: "give back", from: pick(["sessions", "sessionsOf", "all"]), place: place() }];
      case 5:
        return [{ do: "list", user: pick(USERS) }];
      case 6:
        return [{ do: "destroy all", user: pick(USERS) }];
      default:
        return often(0.3) ? [{ do: "clear" }] : [{ do: "list", user: pick(USERS) }];
    }
  };
  const actors: Actor[] = [];
  for (let number = 1 + below(4); number >= 0; number--) {
    const steps: Step[] = [];
    for (let left = 1 + below(3); left > 0; left--) {
      steps.push(wait(), ...(often(0.85) ? request() : odd()));
    }
    extend(steps, new Chance(chance.below(2 ** 32, `more of ${actors.length}`)));
    actors.push({
      name: `actor ${actors.length + 1}`,
      process: below(processes),
      store: often(0.15) ? 1 : 0,
      browser: below(browsers),
      callbacks: often(0.5),
      steps,
    });
  }
  // By itself a scene is not disturbed; with others it leads to what nobody has thought of.
  const isAlone = scene !== undefined && also("alone", 0.4);
  if (isAlone) actors.length = 0;
  for (const [index, steps] of (scene?.play(new Chance(seed ^ 1)) ?? []).entries()) {
    actors.push({
      name: `actor ${actors.length + 1}`,
      process: scene?.where?.[index] ?? chance.below(2, `where ${index}`),
      store: 0,
      browser: scene?.sharesBrowser ? 0 : index % 3,
      callbacks: index === 1,
      steps,
    });
  }
  const troubles: Trouble[] = [];
  for (let left = pick([0, 1, 1, 2, 3, 5]); left > 0; left--) {
    const after = pick([0, 5, 20, 50, 100, 200, 500, 1500, 5000]) + below(30);
    const process = below(processes);
    const connection = often(0.8) ? 0 : 1;
    const kind = below(20);
    if (kind < 10) {
      troubles.push({
        after,
        what: "fault",
        process,
        fault: pick(FAULTS),
        connection,
        writes: often(0.85),
      });
    } else if (kind === 10) troubles.push({ after, what: "connection lost", process, connection });
    else if (kind === 11) {
      troubles.push({ after, what: "evict", kind: pick(["session", "index"]), pick: below(9) });
    } else if (kind === 12)
      troubles.push(often(0.3) ? { after, what: "flush" } : { after, what: "forget scripts" });
    else if (kind === 13) troubles.push({ after, what: "fail over", lost: 1 + below(4) });
    else if (kind === 14)
      troubles.push({ after, what: "server down", ms: pick([10, 50, 100, 300]) });
    else if (kind === 15) troubles.push({ after, what: "server paused", ms: pick([20, 80, 200]) });
    else if (kind === 16)
      troubles.push({ after, what: "clock", process, ms: pick([-500, -50, 50, 500]) });
    else if (kind === 17)
      troubles.push({ after, what: "stop", process, ms: pick([30, 100, 1200]) });
    else if (kind === 18) troubles.push({ after, what: "kill", process });
    else troubles.push({ after, what: "serializer fails", process });
  }
  if (variant.endings && also("a note goes", 0.2)) {
    const after = 50 + chance.below(3000, "when a note goes");
    troubles.push({ after, what: "evict", kind: "note", pick: chance.below(9, "which note") });
  }
  if (isAlone) troubles.length = 0;
  troubles.push(...(scene?.troubles?.(new Chance(seed ^ 2)) ?? []));
  return { seed, processes, variant, actors, troubles };
}

/** What an actor does seldom, in between. */
function extend(steps: Step[], chance: Chance): void {
  if (chance.of("more") > 0.2) return;
  const user = chance.pick(USERS, "user");
  const more = chance.pick<(place: string) => Step[]>(
    [
      (place) => [{ do: "give back", from: "page", place }],
      () => [{ do: "destroy one", user }],
      () => [{ do: "why" }],
      () => [{ do: "destroy" }, { do: "why" }],
      () => [{ do: "destroy all", user, others: true }, { do: "why" }],
      () => [{ do: "destroy all", user, scan: true }],
      () => [{ do: "destroy all", user, others: true, scan: true }],
      () => [{ do: "spoil" }, { do: "save" }],
      () => [{ do: "watch" }],
      () => [{ do: "watch" }],
      () => [{ do: "touch row", from: "sessions", ms: 100 }],
    ],
    "what",
  );
  const at = chance.below(steps.length + 1, "where");
  steps.splice(at, 0, ...more(chance.pick(PLACES, "place")));
}
