/** How often it is looked at, in ms. */
const STEP = 10;

let passed = 0;
setInterval(() => {
  passed += STEP;
}, STEP).unref();

/**
 * The ms in which this process could do anything. A machine that stands still for a second, or gives the
 * process no turn, adds one step and not a second: what is bounded by this time says something about
 * the store and nothing about the machine.
 */
export const loopTime = (): number => passed;
