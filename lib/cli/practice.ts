// Does what an app does, with a session of the doctor's own, to see whether the server lets it.
import { randomBytes } from "node:crypto";
import type { SessionData } from "express-session";
import { isSilence } from "../base/index.js";
import { type RedisStore, StoreError } from "../index.js";
import type { Connection } from "./connect.js";
import type { Finding } from "./finding.js";

/** The session ends by itself after so many ms, should the doctor be stopped. */
const LIFE = 1000;

/** Checks every operation of the store; each stops at the first command that it may not run. Throws where there is no answer. */
export async function* practice({ store, options }: Connection): AsyncGenerator<Finding> {
  const sid = `doctor-${randomBytes(12).toString("base64url")}`;
  const session = { cookie: { originalMaxAge: LIFE, expires: new Date(Date.now() + LIFE) } };
  const steps: [string, () => Promise<unknown>][] = [
    ["a login", () => store.set(sid, session as unknown as SessionData)],
    ["a read", () => store.get(sid)],
    ["a change", () => change(store, sid)],
    ["a renewal", () => renew(store, sid)],
    ["a logout", () => store.destroy(sid)],
    ["a listing", () => store.page({ limit: 1 })],
  ];
  if (options.userId !== undefined) {
    steps.push(["the sessions of a user", () => store.sessionsOf(sid)]);
  }
  if (options.endings) steps.push(["why a session ended", () => store.whyGone(sid)]);
  for (const [check, step] of steps) {
    try {
      await step();
      yield { verdict: "fine", check, says: "works" };
    } catch (error) {
      if (isSilence(error)) throw error;
      const { code = "", message } = error as Partial<StoreError> & Error;
      const isOptional = check === "a listing" && code === "ERR_NO_PERMISSION";
      yield isOptional
        ? { verdict: "unknown", check, says: message, advice: "only operators need it" }
        : { verdict: "broken", check, says: `${code} ${message}` };
    }
  }
}

async function change(store: RedisStore, sid: string): Promise<void> {
  const session = (await store.get(sid)) as (SessionData & { doctor?: true }) | null;
  if (session === null) throw new StoreError("ERR_REDIS", "what was just stored is not there");
  session.doctor = true;
  await store.set(sid, session);
}

async function renew(store: RedisStore, sid: string): Promise<void> {
  const session = await store.get(sid);
  if (session === null) throw new StoreError("ERR_REDIS", "what was just changed is not there");
  // What changes nothing is only a renewal, and always sent.
  await store.set(sid, session);
}
