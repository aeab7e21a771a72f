// The scripts that work on the index of one user.
import { script } from "../client/index.js";

/**
 * Takes a session away, to learn whose it was.
 *
 * KEYS[1] the session's key
 * Answers what the key held, or 0 where there was nothing.
 */
export const TAKE = script(`
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
redis.call('DEL', KEYS[1])
return value`);

/**
 * Removes a session that is still what was seen of it: meanwhile it may have become another user's.
 *
 * KEYS[1] the session's key
 * ARGV[1] the SHA-1 of what it held, in hex
 * Answers 1: removed, 0: not there, 2: it has changed.
 */
export const REMOVE_SEEN = script(`
local value = redis.call('GET', KEYS[1])
if not value then return 0 end
if redis.sha1hex(value) ~= ARGV[1] then return 2 end
return redis.call('UNLINK', KEYS[1])`);

/*
 * The scripts below work on the index of one user. They take two sorted sets in one slot:
 *   KEYS[1] sid -> its activity: when it was last active, in µs; 8e15 and more: it has a place since
 *           that many ms, and its session is perhaps being written (version 1.0.0: +inf);
 *           -inf: it has lost its place, and its session is being removed
 *   KEYS[2] sid -> when its session ends at the latest, in ms; +inf: never
 * All times count from the epoch by the clock of the server that runs the script: what is written and
 * what is pruned is measured by the same clock, and the clocks of the processes do not matter.
 * An end never comes closer: a write that shortens a life may fail. Who is listed too long is looked
 * at. Both sets end together with the last of their sessions.
 */
const INDEX = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function drop(sid)
  redis.call('ZREM', KEYS[1], sid)
  redis.call('ZREM', KEYS[2], sid)
end
-- Those that have ended; in portions, so that no call takes long.
for _, sid in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 1000)) do drop(sid) end
local function put(sid, activity, px)
  redis.call('ZADD', KEYS[1], activity, sid)
  redis.call('ZADD', KEYS[2], 'GT', px == '' and '+inf' or now + px, sid)
  return redis.call('ZSCORE', KEYS[1], sid)
end
local function count()
  return redis.call('ZCARD', KEYS[1]) - redis.call('ZCOUNT', KEYS[1], '-inf', '-inf')
end
local function leaving()
  return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '-inf', 'LIMIT', 0, 1000)
end
local function bound()
  local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')[2]
  for _, key in ipairs(last and KEYS or {}) do
    if last == 'inf' then redis.call('PERSIST', key) else redis.call('PEXPIREAT', key, last) end
  end
end
`;

/**
 * Notes that a session was written or renewed. One that is losing its place does not get it back,
 * unless it was stored anew. Of one that perhaps is gone no entry is made: it would count as one too many.
 *
 * ARGV[1] the sid
 * ARGV[2] what the session has left to live in ms, or "" for no end
 * ARGV[3] how many sessions the user may have; 0: as many as they like
 * ARGV[4] "new": it was stored anew, "there": it is there, "sent": that is not known yet
 * Answers its activity, or "-inf", or nothing where it has no entry; how many sessions are too many;
 * and the sids that have lost their place and whose sessions are to be removed.
 */
export const INDEX_WRITTEN = script(`${INDEX}
local limit = tonumber(ARGV[3])
local activity = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ARGV[4] == 'new' or ((activity or ARGV[4] == 'there') and activity ~= '-inf') then
  activity = put(ARGV[1], time[1] * 1000000 + time[2], ARGV[2])
end
bound()
return {activity, limit > 0 and math.max(0, count() - limit) or 0, leaving()}`);

/**
 * Takes their place from the sessions that are too many, the one with the oldest activity first.
 *
 * ARGV[1] the sid that is being written and keeps its place
 * ARGV[2] how many sessions the user may have
 * Answers the sids that have lost their place and whose sessions are to be removed, at most 1000.
 */
export const INDEX_EVICT = script(`${INDEX}
local excess = count() - ARGV[2]
local most = math.min(excess + 1, 1000)
for _, sid in ipairs(excess > 0 and redis.call('ZRANGEBYSCORE', KEYS[1], '(-inf', '(+inf', 'LIMIT', 0, most) or {}) do
  if excess > 0 and sid ~= ARGV[1] then
    redis.call('ZADD', KEYS[1], '-inf', sid)
    excess = excess - 1
  end
end
bound()
return leaving()`);

/**
 * Takes a place for a session that is perhaps being written. Who has one keeps it.
 *
 * ARGV[1] the sid
 * ARGV[2] what the session has to live in ms, or "" for no end
 * ARGV[3] how many sessions the user may have; 0: as many as they like
 * ARGV[4] "1" if one that is losing its place gets it back
 * Answers 1: taken, 2: it had one, each with the activity; or 0: all are taken, with how many have to
 * go for one to be free.
 */
export const INDEX_EXPECT = script(`${INDEX}
local limit = tonumber(ARGV[3])
local activity = redis.call('ZSCORE', KEYS[1], ARGV[1])
local has = activity and activity ~= '-inf'
if activity == '-inf' and ARGV[4] == '' then return {2, activity} end
if not has and limit > 0 and count() >= limit then return {0, tostring(count() - limit + 1)} end
activity = put(ARGV[1], 8e15 + now, ARGV[2])
bound()
return {has and 2 or 1, activity}`);

/**
 * Forgets sessions.
 *
 * ARGV    sids, each followed by the activity that it must have, or "" for any
 * Answers 0.
 */
export const INDEX_FORGET = script(`${INDEX}
for i = 1, #ARGV, 2 do
  if ARGV[i + 1] == '' or redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then drop(ARGV[i]) end
end
bound()
return 0`);

/**
 * Forgets the sessions that were last active before some time, at most 1000.
 *
 * ARGV[1] the time, in µs
 * Answers how many there may be still.
 */
export const INDEX_CLEAR = script(`${INDEX}
local before = '(' .. ARGV[1]
for _, sid in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'LIMIT', 0, 1000)) do drop(sid) end
bound()
return redis.call('ZCOUNT', KEYS[1], '-inf', before)`);

/**
 * One page of an index. What is in it all the while comes at least once, whatever its activity.
 *
 * ARGV[1] the cursor, "0" at first
 * Answers the next cursor, "0" at the end; sids, each followed by its activity; and the time in ms.
 */
export const INDEX_PAGE = script(`
local time = redis.call('TIME')
local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', 1000)
return {page[1], page[2], time[1] * 1000 + math.floor(time[2] / 1000)}`);
