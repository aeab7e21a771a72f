import { createHash } from "node:crypto";

/** A Lua script with the name that EVALSHA knows it by. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

function script(source: string): Script {
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

/*
 * The first two scripts take one key and answer
 *   1       done
 *   0       there is no such key; nothing was written
 *   string  what the key holds instead of ARGV[1]; nothing was written
 * They never create a key and never take away the expiry of one that keeps living.
 */

/**
 * Writes a session only where it still is what the writer believes it to be.
 *
 * KEYS[1] the session's key
 * ARGV[1] the text that the key should hold
 * ARGV[2] the text to write
 * ARGV[3] its time to live in ms, or "" for none
 */
export const COMPARE_AND_SET = script(`
local current = redis.call('GET', KEYS[1])
if not current then return 0 end
if current ~= ARGV[1] then return current end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1`);

/**
 * Renews a session's expiry only where the session still is the one that the expiry was computed
 * for; another request may meanwhile have made it a session with a longer life.
 *
 * KEYS[1] the session's key
 * ARGV[1] the text that the key should hold
 * ARGV[2] its time to live from now in ms, or "" to only compare
 */
export const COMPARE_AND_RENEW = script(`
local current = redis.call('GET', KEYS[1])
if not current then return 0 end
if current ~= ARGV[1] then return current end
if ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 1`);

/**
 * Reads on the primary where a client would send the command itself to a replica: scripts may write,
 * so no client does that with them.
 *
 * KEYS    the keys of the command, or none
 * ARGV[1] the name of the command, and where there are no keys, ARGV[2…] its arguments
 * Answers what the command does.
 */
export const READ_ON_PRIMARY = script(`
if KEYS[1] then return redis.call(ARGV[1], unpack(KEYS)) end
return redis.call(unpack(ARGV))`);
