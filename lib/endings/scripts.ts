// The scripts that leave and read the note of an ended session.
import { script } from "../client/index.js";

/**
 * Leaves a note, where there is none: who ends a session first has ended it. A hash, so that it is no
 * session even under the empty prefix. Times are the server's own.
 *
 * KEYS[1] the note
 * ARGV[1] the reason
 * ARGV[2] the caller's words, or "" for none
 * ARGV[3] for how long it is kept, in ms
 * Answers 1, or 0 where there is one.
 */
export const LEAVE_NOTE = script(`
if redis.call('HSETNX', KEYS[1], 'reason', ARGV[1]) == 0 then return 0 end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'at', time[1] .. string.format('%03d', math.floor(time[2] / 1000)))
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'because', ARGV[2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`);

/**
 * Reads a note.
 *
 * KEYS[1] the note
 * Answers the reason, when, in ms, and the caller's words; null for what is not there.
 */
export const READ_NOTE = script(`
return redis.call('HMGET', KEYS[1], 'reason', 'at', 'because')`);
