// Notices that a client has no connection, also while nobody asks anything.
import type { Health } from "./health.js";
import type { Transport } from "./transport.js";

/** How often it looks at the most, in ms. */
const LOOK = 250;

/**
 * Notices that a client has no connection, also while nobody asks anything: the first visitor should
 * find a store that knows it. Where the client does not tell, it asks the server when nothing has
 * been answered for `timeout`.
 *
 * It holds neither the process nor the store. Returns what stops it.
 */
export function watchConnection(health: Health, transport: Transport, timeout: number): () => void {
  const watched = new WeakRef(health);
  const pause = Math.min(Math.max(timeout / 4, 10), LOOK);
  /** Looks in a row without a connection: a process that was stopped meanwhile has not looked. */
  let inVain = 0;
  const stop = () => clearInterval(timer);
  const look = () => {
    const health = watched.deref();
    if (health === undefined) return stop();
    const isConnected = transport.isConnected();
    if (isConnected === undefined) return health.doubt();
    inVain = isConnected ? 0 : inVain + 1;
    if (inVain * pause >= timeout) health.withoutConnection();
  };
  const timer = setInterval(look, pause).unref();
  return stop;
}
