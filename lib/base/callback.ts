// Hands a result to a Node callback or as a promise.
/** A Node callback: an error, or `null` and the result. */
export type Callback<Result> = (error: Error | null, result?: Result) => void;

/**
 * Hands over a result that is there already together with all others of this turn of the event loop:
 * requests that are answered while more of them come in cost an app more than those that are answered
 * one after the other. One immediate for each keeps the async context of each caller.
 */
export function answerTogether<Result>(
  result: Result,
  callback: Callback<Result> | undefined | null,
): Promise<Result> | undefined {
  if (typeof callback !== "function") {
    return new Promise((resolve) => {
      setImmediate(resolve, result);
    });
  }
  setImmediate(callback, null, result);
  return undefined;
}

/**
 * Hands a result to the caller the way it asked: a promise, or a call of `callback`. A result that is
 * there already is called back at once.
 *
 * The callback runs outside of the promise chain. So it is called exactly once, and what it throws
 * is the app's own uncaught exception; inside the chain it would come back as a second call with
 * its own error. With a callback nothing is returned: `util.promisify` warns otherwise (DEP0174).
 */
export function answer<Result>(
  result: Result | Promise<Result>,
  callback: Callback<Result> | undefined | null,
): Promise<Result> | undefined {
  if (typeof callback !== "function") return Promise.resolve(result);
  if (!(result instanceof Promise)) {
    callback(null, result);
    return undefined;
  }
  result.then(
    (value) => process.nextTick(callback, null, value),
    (error) => process.nextTick(callback, error),
  );
  return undefined;
}
