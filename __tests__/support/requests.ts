import expressSession from "express-session";
import { RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import {
  type AppSession,
  connect,
  freshPrefix,
  PATIENT,
  rawOf,
  sessionOf,
  type TestClient,
} from "./store.js";

/** The session as express-session hands it to a request, by `store.load`. */
export function load(store: RedisStore, sid: string): Promise<AppSession> {
  return new Promise((resolve, reject) => {
    store.load(sid, (error: unknown, session?: unknown) => {
      if (error) reject(error);
      else if (session === undefined) reject(new Error(`${sid} is not there`));
      else resolve(session as AppSession);
    });
  });
}

/** A session as express-session generates it for a new visitor, and that nobody has saved. */
export function generated(sid: string, data: object = {}): AppSession {
  const { Session, Cookie } = expressSession as unknown as {
    Session: new (req: object) => AppSession;
    Cookie: new () => AppSession["cookie"];
  };
  return Object.assign(new Session({ sessionID: sid }), { cookie: new Cookie() }, data);
}

/**
 * Saves and renews once, so that no later command is sent twice: the client of the store learns
 * whether its server compares and sets by itself, the server learns the scripts.
 */
export async function warmUp(store: RedisStore): Promise<void> {
  await store.set("warm-up", sessionOf());
  const session = await load(store, "warm-up");
  session.n = 1;
  await store.set("warm-up", session);
  await store.set("warm-up", session);
  await store.destroy("warm-up");
}

/** Whether a server compares and sets by itself, as it documents; the others do it by a script. */
export async function compares(send: (...command: string[]) => Promise<unknown>): Promise<boolean> {
  return /\bIFEQ\b/.test(JSON.stringify(await send("COMMAND", "DOCS", "SET")));
}

/** One session that two requests on two servers have loaded. */
export interface Pair {
  readonly sid: string;
  readonly key: string;
  readonly prefix: string;
  /** A store on each server, with a connection of its own. */
  readonly here: RedisStore;
  readonly there: RedisStore;
  /** The session in the hands of a request on each. */
  readonly mine: AppSession;
  readonly other: AppSession;
  /** What `here` and `there` have emitted. */
  readonly events: unknown[][];
  readonly saveMine: () => Promise<string>;
  readonly saveOther: () => Promise<string>;
  /** What Redis holds, as JSON reads it; `null`: nothing. */
  readonly stored: () => Promise<AppSession | null>;
  readonly pttl: () => Promise<number>;
  readonly raw: ReturnType<typeof rawOf>;
}

let clients: Promise<TestClient[]> | undefined;

async function warmClient(): Promise<TestClient> {
  const client = await connect();
  await warmUp(new RedisStore({ client, prefix: freshPrefix(), timeout: PATIENT }));
  return client;
}

/** Stores `data` and has two requests load it. */
export async function pair(
  data: object,
  options: Omit<Partial<RedisStoreOptions>, "client"> = {},
  cookie: object = { originalMaxAge: null, path: "/" },
): Promise<Pair> {
  clients ??= Promise.all([warmClient(), warmClient()]);
  const [first, second] = (await clients) as [TestClient, TestClient];
  const prefix = freshPrefix();
  const here = new RedisStore({ prefix, timeout: PATIENT, ...options, client: first });
  const there = new RedisStore({ prefix, timeout: PATIENT, ...options, client: second });
  const events: unknown[][] = [];
  for (const [name, store] of Object.entries({ here, there })) {
    for (const event of ["merged", "discarded"]) {
      store.on(event, (_sid: string, ...details: unknown[]) =>
        events.push([name, event, ...details]),
      );
    }
  }
  const sid = "a-session-that-two-requests-share";
  await here.set(sid, { cookie, ...data } as unknown as AppSession);
  const [mine, other] = await Promise.all([load(here, sid), load(there, sid)]);
  const raw = rawOf(first);
  const key = prefix + sid;
  return {
    sid,
    key,
    prefix,
    here,
    there,
    mine,
    other,
    events,
    saveMine: () => here.set(sid, mine),
    saveOther: () => there.set(sid, other),
    stored: async () => JSON.parse((await raw.get(key)) ?? "null") as AppSession | null,
    pttl: () => raw.pttl(key),
    raw,
  };
}
