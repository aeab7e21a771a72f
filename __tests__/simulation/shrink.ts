// Makes a failing plan as short as it gets, by leaving things out.

import type { Room } from "./app-server.js";
import { PLAIN, type Plan, type Variant } from "./plan.js";
import { run } from "./run.js";

/** So many runs are tried at the most. */
const TRIES = 1500;

/** A plan with less in it that breaks the same promise. */
export async function shrunk(plan: Plan, promise: number, room: Room): Promise<Plan> {
  let best = plan;
  let tries = 0;
  const fails = async (candidate: Plan) => {
    if (++tries > TRIES) return false;
    return (await run(candidate, room)).broken?.promise === promise;
  };
  for (let isBetter = true; isBetter && tries < TRIES; ) {
    isBetter = false;
    for (const candidate of shorter(best)) {
      // What a plan leads to may need other latencies when something is left out.
      for (const seed of [best.seed, best.seed + 1, best.seed + 2]) {
        const tried = { ...candidate, seed };
        if (!(await fails(tried))) continue;
        best = tried;
        isBetter = true;
        break;
      }
      if (isBetter) break;
    }
  }
  return best;
}

/** Plans with one thing less, the greatest first. */
function* shorter(plan: Plan): Generator<Plan> {
  const { actors, troubles, variant } = plan;
  for (const index of actors.keys()) yield { ...plan, actors: without(actors, index) };
  for (const index of troubles.keys()) yield { ...plan, troubles: without(troubles, index) };
  for (const size of [8, 4, 2, 1]) {
    for (const [index, actor] of actors.entries()) {
      for (let from = 0; from + size <= actor.steps.length; from += size) {
        const steps = [...actor.steps.slice(0, from), ...actor.steps.slice(from + size)];
        yield { ...plan, actors: actors.with(index, { ...actor, steps }) };
      }
    }
  }
  for (const name of Object.keys(PLAIN) as (keyof Variant)[]) {
    if (variant[name] !== PLAIN[name])
      yield { ...plan, variant: { ...variant, [name]: PLAIN[name] } };
  }
  for (const [index, actor] of actors.entries()) {
    if (actor.store > 0) yield { ...plan, actors: actors.with(index, { ...actor, store: 0 }) };
    if (actor.callbacks)
      yield { ...plan, actors: actors.with(index, { ...actor, callbacks: false }) };
  }
  for (const [index, actor] of actors.entries()) {
    if (actor.process > 0 && troubles.length === 0) {
      yield { ...plan, actors: actors.with(index, { ...actor, process: 0 }) };
    }
  }
}

function without<T>(list: readonly T[], index: number): T[] {
  return list.filter((_, at) => at !== index);
}
