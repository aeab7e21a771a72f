// Hands a result to a Node callback or as a promise.
/** A Node callback: an error, or `null` and the result. */
export type Callback<Result> = (error: Error | null, result?: Result) => void;

/**
 * Hands a result to the caller the way it asked: the promise itself, or a call of `callback`.
 *
 * The callback runs outside of the promise chain. So it is called exactly once, and what it throws
 * is the app's own uncaught exception; inside the chain it would come back as a second call with
 * its own error. With a callback nothing is returned: `util.promisify` warns otherwise (DEP0174).
 */
export function answer<Result>(
  promise: Promise<Result>,
  callback: Callback<Result> | undefined | null,
): Promise<Result> | undefined {
  if (typeof callback !== "function") return promise;
  promise.then(
    (result) => process.nextTick(callback, null, result),
    (error) => process.nextTick(callback, error),
  );
  return undefined;
}
