// Virtual time: one queue of what happens next, and the clocks of the processes.
import { hashOf } from "./redis.js";

/** Decides by a seed and a name: what is asked for by the same name is answered the same. */
export class Chance {
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = hashOf(`${seed} `);
  }

  /** A number from 0 up to, and not including, 1. */
  of(name: string): number {
    let hash = hashOf(name, this.#seed);
    // The last step of MurmurHash3: names that differ little shall not give numbers that do.
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
  }

  below(most: number, name: string): number {
    return Math.floor(this.of(name) * most);
  }

  pick<T>(choices: readonly T[], name: string): T {
    return choices[this.below(choices.length, name)] as T;
  }
}

interface Happening {
  readonly at: number;
  /** Of two at one time, the lower comes first. */
  readonly rank: number;
  readonly number: number;
  /** Whose business it is: it waits while that process is stopped, and never happens when it is dead. */
  readonly clock: Clock | undefined;
  readonly happen: () => void;
  /** Whether it mostly does nothing, as a timer that only looks. */
  readonly isQuiet: boolean;
}

/** Where the time of all runs begins: 2030, so that nothing of today is in the future. */
const START = Date.UTC(2030, 0, 1);

/** Virtual time. What happens next happens at once; nothing else takes any time. */
export class Time {
  now = START;
  /** How often something was put into the queue. */
  count = 0;
  /** Whose turn it is: one process at a time does something, and all that follows from it at once. */
  turn: Clock | undefined;
  readonly #queue: Happening[] = [];

  /**
   * @param rank - of those at the same time the lowest comes first
   * @returns what calls it off
   */
  at(
    at: number,
    clock: Clock | undefined,
    happen: () => void,
    rank = 0,
    isQuiet = false,
  ): Happening {
    const happening = {
      at: Math.max(at, this.now),
      rank,
      number: this.count++,
      clock,
      happen,
      isQuiet,
    };
    const queue = this.#queue;
    // Mostly it belongs near the end; so the next is the last.
    let place = queue.length;
    while (place > 0 && isBefore(queue[place - 1] as Happening, happening)) place--;
    queue.splice(place, 0, happening);
    return happening;
  }

  callOff(happening: Happening): void {
    const place = this.#queue.indexOf(happening);
    if (place >= 0) this.#queue.splice(place, 1);
  }

  /** Takes out what waits for this moment and is somebody's, in its order. */
  takeDue(clock: Clock): Happening[] {
    const due = this.#queue.filter((each) => each.clock === clock && each.at <= this.now).reverse();
    for (const each of due) this.callOff(each);
    return due;
  }

  /** Lets the next thing happen; `undefined`: there is none until then. */
  next(until: number): Happening | undefined {
    for (;;) {
      const next = this.#queue.at(-1);
      if (next === undefined || next.at > until) {
        this.now = Math.max(this.now, until);
        return undefined;
      }
      this.#queue.pop();
      this.now = next.at;
      if (next.clock?.isDead) continue;
      if (next.clock?.isStopped) {
        next.clock.hold(next);
        continue;
      }
      if (next.clock) this.turn = next.clock;
      next.happen();
      return next;
    }
  }

  /** What waits, for as far as it is somebody's. */
  pending(clock: Clock): number {
    return this.#queue.filter((each) => each.clock === clock).length;
  }
}

/** Whether `a` comes first, or is what was asked for first. */
function isBefore(a: Happening, b: Happening): boolean {
  if (a.at !== b.at) return a.at < b.at;
  return a.rank === b.rank ? a.number < b.number : a.rank < b.rank;
}

/** The clock and the timers of one process. */
export class Clock {
  /** Of the process. */
  readonly name: string;
  /** How many bytes it has drawn by chance. */
  drawn = 0;
  readonly #time: Time;
  readonly #timers = new Map<number, Timer>();
  #held: Happening[] = [];
  #ahead = 0;
  #last = 0;
  isStopped = false;
  isDead = false;

  constructor(name: string, time: Time) {
    this.name = name;
    this.#time = time;
  }

  /** The time of day as this process takes it. */
  wall(): number {
    return this.#time.now + this.#ahead;
  }

  /** Of no meaning but in differences. */
  monotonic(): number {
    return this.#time.now - START + 1000;
  }

  /** Sets the time of day ahead, or back. */
  step(ms: number): void {
    this.#ahead += ms;
  }

  hold(happening: Happening): void {
    this.#held.push(happening);
  }

  /** The process goes on: what it has missed comes now, in its order. */
  resume(): void {
    this.isStopped = false;
    // What comes in this very moment was sent later than all that.
    const missed = [...this.#held, ...this.#time.takeDue(this)];
    this.#held = [];
    for (const { happen, rank, isQuiet } of missed)
      this.#time.at(this.#time.now, this, happen, rank, isQuiet);
  }

  start(run: () => void, ms: number, isRepeated: boolean): Timer {
    const timer = new Timer(++this.#last, run, Math.max(1, Math.trunc(ms) || 1), isRepeated, this);
    this.#timers.set(timer.id, timer);
    this.arm(timer);
    return timer;
  }

  arm(timer: Timer): void {
    if (timer.happening) this.#time.callOff(timer.happening);
    const at = this.#time.now + timer.ms;
    timer.happening = this.#time.at(at, this, timer.happen, 0, timer.isRepeated);
  }

  /** The time of a timer has come. */
  fire(timer: Timer): void {
    timer.happening = undefined;
    if (!this.#timers.has(timer.id)) return;
    if (timer.isRepeated) this.arm(timer);
    else this.#timers.delete(timer.id);
    timer.run();
  }

  stop(timer: unknown): void {
    const id = timer instanceof Timer ? timer.id : Number(timer);
    const found = this.#timers.get(id);
    if (found?.happening) this.#time.callOff(found.happening);
    this.#timers.delete(id);
  }

  /** What a process runs when it has read all that had come. */
  soon(run: () => void): Timer {
    const timer = new Timer(++this.#last, run, 0, false, this);
    this.#timers.set(timer.id, timer);
    const happen = () => {
      if (this.#timers.delete(timer.id)) run();
    };
    timer.happening = this.#time.at(this.#time.now, this, happen, 1);
    return timer;
  }

  /** How many timers are running that nobody may forget. */
  get timers(): number {
    return this.#timers.size;
  }
}

/** What `setTimeout` gives. */
export class Timer {
  happening: Happening | undefined;
  readonly happen = () => this.clock.fire(this);

  constructor(
    readonly id: number,
    readonly run: () => void,
    readonly ms: number,
    readonly isRepeated: boolean,
    readonly clock: Clock,
  ) {}

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  refresh(): this {
    this.clock.arm(this);
    return this;
  }

  [Symbol.toPrimitive](): number {
    return this.id;
  }
}

type Callback = (...given: unknown[]) => void;

/** The globals that tell the time, by a clock that may be another one for each run. */
export function globalsOf(clock: () => Clock): Record<string, unknown> {
  const RealDate = Date;
  class VirtualDate extends RealDate {
    constructor(...given: unknown[]) {
      super(...((given.length === 0 ? [clock().wall()] : given) as [number]));
    }
    static override now(): number {
      return clock().wall();
    }
    static override [Symbol.hasInstance](value: unknown): boolean {
      return Function.prototype[Symbol.hasInstance].call(RealDate, value);
    }
  }
  return {
    Date: VirtualDate,
    performance: { now: () => clock().monotonic() },
    setTimeout: (run: Callback, ms = 1, ...given: unknown[]) =>
      clock().start(() => run(...given), ms, false),
    setInterval: (run: Callback, ms = 1, ...given: unknown[]) =>
      clock().start(() => run(...given), ms, true),
    setImmediate: (run: Callback, ...given: unknown[]) => clock().soon(() => run(...given)),
    clearTimeout: (timer: unknown) => clock().stop(timer),
    clearInterval: (timer: unknown) => clock().stop(timer),
    clearImmediate: (timer: unknown) => clock().stop(timer),
  };
}
