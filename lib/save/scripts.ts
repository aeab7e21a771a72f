// The scripts that renew or remove a session only where it is what the writer believes it to be.
import { createHash } from "node:crypto";
import { script } from "../client/index.js";
import type { Value } from "../session/index.js";

/*
 * The scripts take one key and answer
 *   1       done
 *   0       there is no such key; nothing was written
 *   string  what the key holds instead of what ARGV[1] names; nothing was written
 * They never create a key and never take away the expiry of one that keeps living.
 *
 * They name a session by its digest: clients publish the arguments of scripts, and tracing tools
 * print them. SHA-1 is what a script can compute; who could make two sessions with the same one gains
 * another expiry for the one that is there.
 */

/** What the scripts call a session. */
export function digestOf(stored: Value): string {
  return createHash("sha1").update(stored).digest("hex");
}

/**
 * Renews a session's expiry only where the session still is the one that the expiry was computed
 * for; another request may meanwhile have made it a session with a longer life.
 *
 * KEYS[1] the session's key
 * ARGV[1] the digest of the text that the key should hold
 * ARGV[2] its time to live from now in ms, or "" to only compare
 */
export const COMPARE_AND_RENEW = script(`
local current = redis.call('GET', KEYS[1])
if not current then return 0 end
if redis.sha1hex(current) ~= ARGV[1] then return current end
if ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1`);

/**
 * Removes a session only where it still is the one that is over.
 *
 * KEYS[1] the session's key
 * ARGV[1] the digest of the text that the key should hold
 */
export const COMPARE_AND_REMOVE = script(`
local current = redis.call('GET', KEYS[1])
if not current then return 0 end
if redis.sha1hex(current) ~= ARGV[1] then return current end
redis.call('DEL', KEYS[1])
return 1`);
