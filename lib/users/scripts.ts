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

/*
 * The scripts below work on the index of one user. They take two sorted sets in one slot:
 *   KEYS[1] sid -> when it was last active, in µs; +inf: it has a place, and its session is being written;
 *           -inf: it has lost its place, and its session is being removed
 *   KEYS[2] sid -> when its session ends, in ms; +inf: never
 * Both count from the epoch by the clock of the server that runs the script: what is written and
 * what is pruned is measured by the same clock, and the clocks of the processes do not matter.
 * Both sets end together with the last of their sessions.
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
local function dropPairs(first)
  for i = first, #ARGV, 2 do
    if ARGV[i + 1] == '' or redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then drop(ARGV[i]) end
  end
end
local function put(sid, activity, px)
  redis.call('ZADD', KEYS[1], activity, sid)
  redis.call('ZADD', KEYS[2], px == '' and '+inf' or now + px, sid)
end
local function count()
  return redis.call('ZCARD', KEYS[1]) - redis.call('ZCOUNT', KEYS[1], '-inf', '-inf')
end
local function leaving()
  return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '-inf', 'LIMIT', 0, 1000)
end
local function oldest(most, ...)
  return redis.call('ZRANGEBYSCORE', KEYS[1], '(-inf', '(+inf', 'LIMIT', 0, most, ...)
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
 * unless it was stored anew.
 *
 * ARGV[1] the sid
 * ARGV[2] what the session has left to live in ms, or "" for no end
 * ARGV[3] how many sessions the user may have; 0: as many as they like
 * ARGV[4] "1" if the session was stored anew
 * Answers two lists: the sids that have lost their place and whose sessions are to be removed; and
 * where there are too many, the oldest of the others, each followed by its activity.
 */
export const INDEX_WRITTEN = script(`${INDEX}
local limit = tonumber(ARGV[3])
if ARGV[4] == '1' or redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= '-inf' then 
  put(ARGV[1], time[1] * 1000000 + time[2], ARGV[2])
end
bound()
return {leaving(), limit > 0 and count() > limit and oldest(1000, 'WITHSCORES') or {}}`);

/**
 * Takes their place from the sessions that are too many, the one with the oldest activity first.
 *
 * ARGV[1] the sid that is being written and keeps its place
 * ARGV[2] how many sessions the user may have
 * ARGV[3…] sids whose sessions are known to be gone, each followed by the activity that was seen
 * Answers the sids that have lost their place and whose sessions are to be removed.
 */
export const INDEX_EVICT = script(`${INDEX}
dropPairs(3)
local excess = count() - ARGV[2]
for _, sid in ipairs(excess > 0 and oldest(math.min(excess + 1, 1000)) or {}) do
  if excess > 0 and sid ~= ARGV[1] then
    redis.call('ZADD', KEYS[1], '-inf', sid)
    excess = excess - 1
  end
end
bound()
return leaving()`);

/**
 * Asks for a place before the session is written. Who has one keeps it.
 *
 * ARGV[1] the sid
 * ARGV[2] how many sessions the user may have
 * ARGV[3] for how long the place is kept until the session is written, in ms
 * ARGV[4…] sids whose sessions are known to be gone, each followed by the activity that was seen
 * Answers 1 and an empty list; or 0 and the sessions that have the places, the oldest first, each
 * followed by its activity.
 */
export const INDEX_ADMIT = script(`${INDEX}
dropPairs(4)
local activity = redis.call('ZSCORE', KEYS[1], ARGV[1])
local has = activity and activity ~= '-inf'
if not has and count() >= tonumber(ARGV[2]) then return {0, oldest(1000, 'WITHSCORES')} end
if not has then put(ARGV[1], '+inf', ARGV[3]) end
bound()
return {1, {}}`);

/**
 * Forgets sessions.
 *
 * ARGV    sids, each followed by the activity that it must have, or "" for any
 * Answers 0.
 */
export const INDEX_FORGET = script(`${INDEX}
dropPairs(1)
bound()
return 0`);

/**
 * One page of an index. What is in it all the while comes at least once, whatever its activity.
 *
 * ARGV[1] the cursor, "0" at first
 * Answers the next cursor, "0" at the end, and sids, each followed by its activity.
 */
export const INDEX_PAGE = script(`
return redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', 1000)`);
