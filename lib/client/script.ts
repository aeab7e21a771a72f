// A Lua script and the name that the server knows it by.
import { createHash } from "node:crypto";

/** A Lua script with the name that EVALSHA knows it by. */
export interface Script {
  readonly source: string;
  readonly sha: string;
}

/** Names a script. */
export function script(source: string): Script {
  return { source, sha: createHash("sha1").update(source).digest("hex") };
}

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

/**
 * How large values are and how long they live. Needs no right to STRLEN: without it, and where a key
 * holds no string, the size is not told.
 *
 * KEYS    the keys
 * Answers for each the bytes, or -1 where they are not known, and what PTTL answers.
 */
export const MEASURE = script(`
local answer = {}
for i, key in ipairs(KEYS) do
  local bytes = redis.pcall('STRLEN', key)
  answer[2 * i - 1] = type(bytes) == 'number' and bytes or -1
  answer[2 * i] = redis.call('PTTL', key)
end
return answer`);
