import { sidOf } from "./sessions.js";

/** Fills a key for each of many sessions on the server: ARGV[1] is the text, the others are ids. */
const FILL = `
for i = 2, #ARGV do
  redis.call('SET', KEYS[1] .. ARGV[i], ARGV[1], 'PX', 86400000 + i)
end
return #ARGV - 1`;

/** A session of about so many bytes as JSON. @param {number} bytes */
export function textOf(bytes) {
  const cookie = {
    originalMaxAge: 86_400_000,
    expires: "2030-01-01T00:00:00.000Z",
    httpOnly: true,
    path: "/",
  };
  const empty = JSON.stringify({ cookie, data: "" }).length;
  return JSON.stringify({ cookie, data: "x".repeat(Math.max(0, bytes - empty)) });
}

/**
 * Stores many sessions that hold the same.
 *
 * @param {import("./contenders.js").Client} client
 * @param {string} prefix
 * @param {number} from index of the first
 * @param {number} to index after the last
 * @param {string} text
 */
export async function fillMany(client, prefix, from, to, text) {
  const batch = 1000;
  for (let start = from; start < to; start += batch) {
    const ids = Array.from({ length: Math.min(batch, to - start) }, (_, index) =>
      sidOf(start + index),
    );
    await client.eval(FILL, { keys: [prefix], arguments: [text, ...ids] });
  }
}
