// Tells the caches of this process what is being written, whichever store writes it.

/** Told of writes, before they are sent and when they are over; keys as Redis has them. */
export interface WriteListener {
  begin(keys: readonly string[]): void;
  end(keys: readonly string[]): void;
}

/** The ES module and the CommonJS build, and every version, share it. */
const LISTENERS = Symbol.for("redis-session-store:writes:1");

const shared = globalThis as { [LISTENERS]?: Set<WriteListener> };
shared[LISTENERS] ??= new Set();
const listeners = shared[LISTENERS];

/** Listens to the writes of all stores of this process; returns what stops it. */
export function listenToWrites(listener: WriteListener): () => void {
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
  };
}

/** Tells of a write that has just been sent; its answer, when all have been told that it is over. */
export function writing<Answer>(keys: readonly string[], answer: Promise<Answer>): Promise<Answer> {
  if (listeners.size === 0) return answer;
  // Those that begin to listen meanwhile hear nothing of its end.
  const told = [...listeners];
  for (const listener of told) listener.begin(keys);
  return answer.finally(() => {
    for (const listener of told) listener.end(keys);
  });
}
