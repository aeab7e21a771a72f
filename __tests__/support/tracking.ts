import type { SessionData } from "express-session";
import type { RedisStore } from "../../lib/index.js";
import { rawOf, type TestClient, until } from "./store.js";
import { withMember } from "./through.js";

/** What the tests use of the connection on which a store tracks what it has read. */
export interface TrackingClient extends TestClient {
  destroy(): void;
  on(event: string, listener: (argument?: unknown) => void): unknown;
}

type Duplicate = (overrides: object) => TrackingClient;

/** A client with the tracking connections that stores make of it. */
export interface Tracked {
  readonly client: TestClient;
  /** The oldest first. */
  readonly connections: TrackingClient[];
}

/**
 * Gets hold of the tracking connections.
 *
 * @param overrides - other options for them, such as the `url` of a proxy
 * @param wrap - puts something between the store and the connection
 */
export function tracked(
  client: TestClient,
  overrides: object = {},
  wrap: (connection: TrackingClient) => TrackingClient = (connection) => connection,
): Tracked {
  const connections: TrackingClient[] = [];
  const duplicate: Duplicate = (asked) => {
    const original = (client as unknown as { duplicate: Duplicate }).duplicate.bind(client);
    const connection = original({ ...asked, ...overrides });
    connections.push(connection);
    return wrap(connection);
  };
  return { client: withMember(client, { duplicate }), connections };
}

/** What `get` has without waiting for anything, that is from the cache; `undefined` if it has nothing. */
export function fromCache(store: RedisStore, sid: string): SessionData | null | undefined {
  let answer: SessionData | null | undefined;
  // It is handed over at the end of the turn; here at once.
  const atOnce = (callback: (...args: unknown[]) => void, ...args: unknown[]) => callback(...args);
  const hurry = jest.spyOn(globalThis, "setImmediate").mockImplementation(atOnce as never);
  let isOver = false;
  store.get(sid, (error, session) => {
    if (!isOver && error === null) answer = session;
  });
  isOver = true;
  hurry.mockRestore();
  return answer;
}

/** Reads a session until it comes from the cache. */
export async function warm(store: RedisStore, sid: string): Promise<void> {
  await until(async () => {
    await store.get(sid);
    return fromCache(store, sid) !== undefined;
  });
}

/** The ids of the connections of a server that track what they read. */
export async function trackingIds(observer: TestClient): Promise<string[]> {
  const list = await rawOf(observer).send<string>("CLIENT", "LIST");
  return list
    .split("\n")
    .filter((line) => /\bflags=\S*t/.test(line))
    .map((line) => /\bid=(\d+)/.exec(line)?.[1] as string);
}
