// Bounds how long a function of the app may take.
import { StoreError, type StoreErrorCode } from "./errors.js";

/**
 * What a function of the app gives, if it gives it in time: one that never settles would hold up
 * every later save of the session, and the logout.
 *
 * @param ms - after which it is given up
 * @param code - of the error then; not ERR_TIMEOUT, which is about Redis
 */
export function within<Result>(
  promise: PromiseLike<Result>,
  ms: number,
  what: string,
  code: StoreErrorCode,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(new StoreError(code, `${what} took longer than ${ms} ms`));
    const timer = setTimeout(giveUp, ms);
    promise.then(
      (result) => {
        clearTimeout(timer);
        resolve(result);
      },
      (error) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
