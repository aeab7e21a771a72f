// Turns the keyspace notifications of a server on.
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { isRedirect, isSilence, StoreError } from "../base/index.js";
import type { Publisher } from "../client/index.js";
import { patternOf } from "../session/index.js";
import { lacking, NEEDED, NEW_KEYS } from "./keyspace.js";

const SETTING = "notify-keyspace-events";

/**
 * Has a server announce what happens to keys. Adds to the server's setting and takes nothing away.
 *
 * @param prefix - what the session keys start with
 * @throws ERR_NO_PERMISSION where an administrator has to do it
 */
export async function enableEvents(publisher: Publisher, prefix: string): Promise<void> {
  let setting: string;
  try {
    setting = settingIn(await publisher.send(["CONFIG", "GET", SETTING]));
  } catch (error) {
    rethrowIfDown(error);
    // Managed servers hide CONFIG; the administrator may have made the setting nevertheless.
    if (await announces(publisher, prefix)) return;
    throw refused(publisher, undefined, error);
  }
  const wanted = NEEDED + NEW_KEYS;
  if (lacking(setting, wanted) === "") return;
  const missing = lacking(setting, NEEDED);
  try {
    await publisher.send(["CONFIG", "SET", SETTING, setting + lacking(setting, wanted)]);
  } catch (error) {
    rethrowIfDown(error);
    // Only new keys are not announced, which Redis before 7 cannot do.
    if (missing === "") return;
    try {
      await publisher.send(["CONFIG", "SET", SETTING, setting + missing]);
    } catch {
      throw refused(publisher, setting, error);
    }
  }
}

/** The value in the reply to CONFIG GET, which clients give different forms. */
function settingIn(reply: unknown): string {
  if (Array.isArray(reply)) return String(reply[1] ?? "");
  if (reply instanceof Map) return String(reply.get(SETTING) ?? "");
  return (reply as Record<string, string>)[SETTING] ?? "";
}

/** Whether a server announces changes, seen on a key that is none of a session. */
async function announces(publisher: Publisher, prefix: string): Promise<boolean> {
  // It must not start with the prefix itself.
  const name = `${prefix.startsWith("w") ? ":" : ""}watch-of:${prefix}${randomBytes(9).toString("base64url")}`;
  const seen = new Set<string>();
  const subscriber = await publisher.subscribe(`__keyspace@*__:*${patternOf(name)}`, {
    onMessage: (_channel, message) => seen.add(message),
    onLost: () => {},
  });
  try {
    const key = await put(publisher, name);
    if (key === undefined) return false;
    await publisher.send(["DEL", key]);
    await publisher.send(["SET", key, "1", "PX", "1"]);
    for (let tries = 0; tries < 50; tries++) {
      if (["set", "expire", "del", "expired"].every((event) => seen.has(event))) return true;
      await delay(5);
      // Reading notices that it has expired.
      await publisher.send(["GET", key]);
    }
    return false;
  } catch (error) {
    rethrowIfDown(error);
    return false;
  } finally {
    subscriber.close();
  }
}

/** Writes a key whose slot is on this very server of a cluster; its name, or `undefined`. */
async function put(publisher: Publisher, name: string): Promise<string | undefined> {
  for (let tries = 0; tries < 1000; tries++) {
    const key = name + tries;
    try {
      await publisher.send(["SET", key, "1", "PX", "60000"]);
      return key;
    } catch (error) {
      if (!isRedirect(error)) throw error;
    }
  }
  return undefined;
}

function rethrowIfDown(error: unknown): void {
  if (isSilence(error) && !isRedirect(error)) throw error;
}

function refused(publisher: Publisher, setting: string | undefined, cause: unknown): StoreError {
  const whole = (setting ?? "") + lacking(setting ?? "", NEEDED + NEW_KEYS);
  const now = setting === undefined ? "" : `, which is now "${setting}"`;
  return new StoreError(
    "ERR_NO_PERMISSION",
    `watch() needs keyspace notifications, which ${publisher.address} does not send, and the Redis user may not turn them on: have an administrator set ${SETTING}${now}, to "${whole}" on every server (CONFIG SET ${SETTING} ${whole}, or the parameter group of a managed service; without the letter n before Redis 7)`,
    cause,
  );
}
