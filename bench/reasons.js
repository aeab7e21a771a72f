// Why goals are missed, for the results: whoever reads that one is finds the reason below it.

/** Matches the row of a goal, and says what stands in its way. @type {[row: RegExp, why: string][]} */
const REASONS = [
  [
    /times as (fast|long) as JSON\.parse alone/,
    "**With cache, beside JSON.parse alone**: that one answers before it returns. Ours hands over all answers of a turn of the event loop at its end, which costs this loop something and saves an app more (see “Requests through Express”), finds the session in an LRU, and notes what it was so that a save can compare.",
  ],
  [
    /^\| set, (new session|loaded and changed) +\|/,
    "**Saves, beside connect-redis**: it writes whatever is there. Ours waits for its turn behind other saves of the session, and on a server without a comparison of its own a script reads what is there and compares 500 bytes before it writes; with one core for the app and one for Redis, the time of both counts.",
  ],
  [
    /read-only requests beside connect-redis/,
    "**Through Express, beside connect-redis**: Express, express-session and its hashing are most of a request, whatever the store. See the app's CPU: what a store may save is the difference between connect-redis and the floor.",
  ],
  [
    /with cache, read-only requests beside ours/,
    "**With cache, beside without**: what is to be shown is a few µs of some two hundred; the spread within the rounds is wider than that on this machine.",
  ],
  [
    /beside Map, JSON\.parse/,
    "**Beside the floor**: the floor forgets what it has handed out. Ours notes it for the session, again for the Session object that express-session makes of it, and looks whether there is something to renew; more objects for each request also keep the garbage collector busy, which shows on this machine.",
  ],
  [
    /^\| (channels, nobody listens|endings .*(read-only|set))/,
    "**What is not used**: the code without it is the same but for a few comparisons, and the commands are the same. What is left is the spread of the machine; see the smallest and the largest.",
  ],
  [
    /sessions\(\), times as long as all|sessions\(\) .*MB/,
    "**sessions(), beside all()**: it asks the server besides how large each session is and how long it lives, makes a date of that, remembers the text, so that a row can be given back, and hands out one row at a time, each with a turn of its own, where all() fills an array.",
  ],
  [
    /slowest command of ours/,
    "**The slowest command**: a step of SCAN over a thousand keys, or an MGET of half a megabyte, takes a few ms. The server counts what else the machine makes it wait for, too.",
  ],
  [
    /sessions beside 1000/,
    "**Growth**: a million sessions do not fit into the caches of the processor; GET alone takes Redis twice as long there, whoever asks.",
  ],
  [
    /length, times as fast/,
    "**length()**: the server's own SCAN with TYPE takes half of the whole time of connect-redis.",
  ],
];

/** The reasons for the goals that a part of the results has missed. @param {string} part */
export function reasonsOf(part) {
  const missed = part.split("\n").filter((line) => line.startsWith("|") && line.includes("**no**"));
  return REASONS.filter(([row]) => missed.some((line) => row.test(line))).map(([, why]) => why);
}
