import { randomBytes } from "node:crypto";
import express, { type Express, type RequestHandler } from "express";
import session, { type SessionData, type SessionOptions, type Store } from "express-session";
import { createClient as createClient6 } from "redis";
import { createClient as createClient4 } from "redis4";
import { createClient as createClient5 } from "redis5";
import type { NodeRedisClient } from "../../lib/client/families/node-redis.js";
import { type RedisClient, RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { expectNoSecrets, keepSecret, noteError } from "./errors.js";

/** The server that all tests share. */
export const url = process.env.REDIS_SESSION_STORE_TEST_URL ?? "";

/** The majors of the package redis that the store promises to work with. */
export const versions = [4, 5, 6] as const;
type Version = (typeof versions)[number];

/** What the three majors have in common, as far as the tests use it. */
export interface TestClient extends NodeRedisClient {
  connect(): Promise<unknown>;
  sendCommand(command: (string | Buffer)[], options?: object): Promise<unknown>;
}

/** A client that nobody has connected yet, and how to drop its connection. */
export function newClient(
  version: Version = 6,
  options: { url?: string; path?: string } = {},
): { client: TestClient; close: () => void } {
  const { path } = options;
  // Back soon, and no timer that keeps a process waiting at its end.
  const reconnectStrategy = () => 50;
  const settings =
    path === undefined
      ? { url: options.url ?? url, socket: { reconnectStrategy } }
      : { socket: { path, reconnectStrategy } };
  const ignore = () => {};
  if (version === 4) {
    const client = createClient4(settings as Parameters<typeof createClient4>[0]);
    client.on("error", ignore);
    return { client, close: () => void client.disconnect().catch(ignore) };
  }
  const client =
    version === 5
      ? createClient5(settings as Parameters<typeof createClient5>[0])
      : createClient6(settings as Parameters<typeof createClient6>[0]);
  client.on("error", ignore);
  return { client: client as TestClient, close: () => client.isOpen && client.destroy() };
}

const closings: (() => void)[] = [];
const stores: { close(): void }[] = [];

/** A store that ends with the tests of the file: what is left behind asks a closed client for ever. */
export function endsWithTests<Made extends { close(): void }>(store: Made): Made {
  stores.push(store);
  return store;
}

/** A connected client; it is closed after the tests of the file. */
export async function connect(version: Version = 6, address = url): Promise<TestClient> {
  const { client, close } = newClient(version, { url: address });
  await client.connect();
  closings.push(close);
  return client;
}

afterAll(() => {
  for (const store of stores.splice(0)) store.close();
  for (const close of closings.splice(0)) close();
});

// Whatever a suite is about: no error that it has seen holds a sid, a password or content.
afterAll(() => {
  expectNoSecrets();
});

/** A key prefix that nothing else uses. */
export function freshPrefix(): string {
  return `test:${randomBytes(9).toString("base64url")}:`;
}

/** The `timeout` of stores whose server answers: longer than a busy machine stands still, in ms. */
export const PATIENT = 10_000;

/** A store over `client` with a prefix of its own, and patient. */
export function makeStore<Client extends RedisClient>(
  client: Client,
  options: Omit<Partial<RedisStoreOptions<Client>>, "client"> = {},
): RedisStore<Client> {
  return endsWithTests(
    new RedisStore({ client, prefix: freshPrefix(), timeout: PATIENT, ...options }),
  );
}

/** A session as an app makes it by hand; `data` is what the app keeps in it. */
export function sessionOf(data: object = {}, cookie: object = {}): SessionData {
  keepSecret(...Object.values(data));
  return { cookie: { originalMaxAge: null, ...cookie }, ...data } as unknown as SessionData;
}

/** `ms` from now, as a Date. */
export function inMs(ms: number): Date {
  return new Date(Date.now() + ms);
}

/** Whether every store of the run encrypts: `npm run test:sealed`. */
export const isSealed = Boolean(process.env.REDIS_SESSION_STORE_TEST_SEALED);

/** For what encryption gives up: another store on the same keys. `npm run test:sealed` leaves it out. */
export const unlessSealed = isSealed
  ? { describe: describe.skip, test: test.skip }
  : { describe, test };

/** What a text is that Redis holds, opened where every store of the run encrypts. */
export function plainOf<Held extends string | Buffer | null>(key: string, held: Held): Held {
  const { openSealed } = globalThis as {
    openSealed?: (key: string, held: string | Buffer) => string | Buffer;
  };
  return (held === null || openSealed === undefined ? held : openSealed(key, held)) as Held;
}

/** Looks at what Redis holds, past the store. */
export function rawOf(client: TestClient) {
  const send = <T>(...command: (string | Buffer)[]) => client.sendCommand(command) as Promise<T>;
  return {
    send,
    get: async (key: string) => plainOf(key, await send<string | null>("GET", key)),
    set: (key: string, value: string | Buffer) => send<string>("SET", key, value),
    /** Remaining ms; -1: no expiry, -2: no such key. */
    pttl: (key: string) => send<number>("PTTL", key),
    exists: async (key: string) => (await send<number>("EXISTS", key)) === 1,
  };
}

/** Waits for `condition`; the time limit is the test's own. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The session in the hands of an app's handler, with whatever the app keeps in it. */
export type AppSession = SessionData & Record<string, unknown>;

export interface App extends Express {
  /** What reached the error handler, oldest first. */
  readonly errors: unknown[];
}

/** An Express app with sessions; the handlers are mounted by their path, for GET. */
export function makeApp(
  store: Store,
  handlers: Record<string, RequestHandler>,
  options: Partial<SessionOptions> = {},
): App {
  const errors: unknown[] = [];
  const app = Object.assign(express(), { errors });
  app.use(session({ secret: "test", resave: false, saveUninitialized: false, ...options, store }));
  for (const [path, handler] of Object.entries(handlers)) app.get(path, handler);
  const onError: express.ErrorRequestHandler = (error, req, res, next) => {
    keepSecret(req.sessionID);
    noteError(error);
    errors.push(error);
    if (res.headersSent) next();
    else res.status(500).send(String((error as { code?: unknown }).code));
  };
  app.use(onError);
  return app;
}

/** Counts a visit and answers with how many there were. */
export const visit: RequestHandler = (req, res) => {
  const own = req.session as unknown as AppSession;
  own.visits = Number(own.visits ?? 0) + 1;
  res.send(String(own.visits));
};

/** Answers with the session's data, and changes nothing. */
export const read: RequestHandler = (req, res) => {
  const { cookie: _, ...data } = req.session as unknown as AppSession;
  res.json(data);
};

/** What an operation is refused with; a test fails that expects a refusal and sees none. */
export async function refusal(
  operation: Promise<unknown>,
): Promise<Error & { code: string; cause?: unknown }> {
  const outcome = await operation.then(
    (result) => new Error(`was not refused but answered ${JSON.stringify(result)}`),
    (error: unknown) => error,
  );
  noteError(outcome);
  return outcome as Error & { code: string };
}
