// Runs plans of many seeds, and makes a failing one as short as it gets.

import { Room } from "./app-server.js";
import { OBSERVER } from "./client.js";
import type { Patch } from "./loader.js";
import type { Plan } from "./plan.js";
import { planOf } from "./planner.js";
import { hashOf } from "./redis.js";
import { catchRejections, type Outcome, run } from "./run.js";
import { readable } from "./shown.js";
import { shrunk } from "./shrink.js";

/** What one worker is asked to do. */
export interface Job {
  readonly seed: number;
  readonly runs: number;
  /** Of so many workers this is one; each takes every so-manieth run. */
  readonly workers: number;
  readonly worker: number;
  readonly patches?: Patch[];
  /** When no new run is begun any more, in ms since the epoch. */
  readonly until?: number;
  /** Whether a failing run is made short. */
  readonly shrink?: boolean;
}

/** A run that broke a promise. */
export interface Failure {
  readonly seed: number;
  readonly runs: number;
  readonly promise: number;
  readonly what: string;
  readonly plan: Plan;
  readonly told: readonly string[];
}

/** What came of a job. */
export interface Result {
  readonly runs: number;
  readonly events: number;
  readonly leniencies: Record<string, number>;
  /** Of all that happened in all runs. */
  readonly fingerprint: number;
  readonly failure: Failure | undefined;
}

/** The promise that an observer looks into when a run is over. */
const LISTED = 5;

/** The seed of a run in a campaign. */
function seedOf(campaign: number, number: number): number {
  return (campaign + number) >>> 0;
}

/**
 * Runs plans until one fails or all are done.
 *
 * @param last - after which run no further one is of interest
 */
export async function campaign(
  { seed, runs, workers, worker, patches = [], until = Infinity, shrink = true }: Job,
  onProgress: (runs: number) => void = () => {},
  last: () => number = () => runs,
): Promise<Result> {
  catchRejections();
  // Where errors come from costs time, and is of interest only to who reads the history.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const room = new Room(patches);
  const leniencies: Record<string, number> = {};
  let events = 0;
  let done = 0;
  let fingerprint = 0;
  const isOn = (number: number) => number < Math.min(runs, last()) && Date.now() < until;
  for (let number = worker; isOn(number); number += workers) {
    const plan = planOf(seedOf(seed, number));
    const outcome = await run(plan, room);
    done++;
    events += outcome.events;
    fingerprint = hashOf(`${fingerprint} ${outcome.fingerprint} ${outcome.events}`);
    for (const [reason, count] of outcome.leniencies) {
      leniencies[reason] = (leniencies[reason] ?? 0) + count;
    }
    if (outcome.broken !== undefined) {
      Error.stackTraceLimit = stackTraceLimit;
      const failure = await explained(plan, outcome, room, shrink);
      return {
        runs: done,
        events,
        leniencies,
        fingerprint,
        failure: { ...failure, runs: number + 1 },
      };
    }
    if (done % 20 === 0) onProgress(done);
  }
  return { runs: done, events, leniencies, fingerprint, failure: undefined };
}

async function explained(plan: Plan, outcome: Outcome, room: Room, shrink: boolean) {
  const short = shrink ? await shrunk(plan, outcome.broken?.promise as number, room) : plan;
  const { broken, told } = await run(short, room, true);
  const { promise, what } = broken ?? {
    promise: 0,
    what: "another run of the same plan breaks nothing",
  };
  // What the observer does in the end is of interest where it finds something.
  const end = promise === LISTED ? told.length : told.findIndex((line) => line.includes(OBSERVER));
  return {
    seed: plan.seed,
    promise,
    what,
    plan: short,
    told: readable(told.slice(0, end < 0 ? undefined : end)),
  };
}
