// Remembers what became of commands whose call has failed.
import { isSilence } from "../base/index.js";

/**
 * What the client learnt of a command after its call had failed. Fulfilled: the reply of Redis, as
 * the client gives it (`"OK"` or `null` for a SET, a number, a value). Rejected: a `StoreError`, of
 * which {@link wasSent} tells whether it leaves the question open.
 */
export type LateAnswer = PromiseSettledResult<unknown>;

/** The errors of commands that did nothing and will do nothing. */
const unsent = new WeakSet<object>();
const late = new WeakMap<object, Promise<LateAnswer>>();

/**
 * Whether the command that failed with `error` may have been executed, or may be later. `false` is
 * certain: it never went out and never will, or the server refused it.
 */
export function wasSent(error: unknown): boolean {
  return !unsent.has(error as object);
}

/**
 * The answer to a command that its caller has given up, if it still comes; it never rejects. The
 * promise of a command whose answer is lost may stay open for ever. `undefined` where nobody listens
 * any longer: the client itself has given the command up, or it was never sent.
 */
export function lateAnswerOf(error: unknown): Promise<LateAnswer> | undefined {
  return late.get(error as object);
}

/** Whether a failed write may have happened, or may happen later. */
export function isInDoubt(error: unknown): boolean {
  return isSilence(error) && wasSent(error);
}

/** Notes that the command which failed with `error` did nothing and will do nothing. */
export function noteUnsent<Failure extends Error>(error: Failure): Failure {
  unsent.add(error);
  return error;
}

/** Notes where the answer to the command comes from, if it still comes. */
export function noteLate<Failure extends Error>(
  error: Failure,
  answer: Promise<LateAnswer>,
): Failure {
  late.set(error, answer);
  return error;
}
