import { channel } from "node:diagnostics_channel";
import { inspect } from "node:util";
import { plain } from "../conformance/clients.js";
import { conformance } from "../conformance/suite.js";
import { everythingIn } from "../support/channels.js";
import { type Server, startServer } from "../support/servers.js";
import { userIndexSuite } from "../support/user-index-suite.js";

/** Every word that a message may hold. All else would be an id, content or a user. */
const WORDS = new Set<unknown>([
  ...["operation", "store", "outcome", "reason", "code", "roundTrips", "conflicts", "bytes"],
  ...["seconds", "handle", "event", "kept", "overwritten", "constructor"],
  ...["asked", "carried", "succeeded", "failed", "toJSON", "name", "length", "prototype"],
  ...["get", "set", "touch", "destroy"],
  ...["hit", "cached", "miss", "OK", "MERGED", "GONE", "renewed", "skipped", "EXPIRED"],
  ...["removed", "missing", "error"],
  ...["expired", "user-changed", "plaintext", "revoked", "logout", "regenerated", "limit"],
  ...["merged", "discarded", "corrupt", "ended", "fixation", "down", "up", "other"],
]);

function isHarmless(value: unknown): boolean {
  if (typeof value !== "string") return typeof value === "number" || value === undefined;
  return WORDS.has(value) || /^ERR_[A-Z_]+$/.test(value) || /^(h[\w-]{43})?$/.test(value);
}

const kinds = new Map<string, number>();
const leaks: string[] = [];

function hear(message: unknown): void {
  const { store } = message as { store: string };
  for (const value of everythingIn(message)) {
    // A store's name is what its maker calls it; here that is its prefix.
    if (value !== store && !isHarmless(value)) leaks.push(String(value));
  }
  const shown = inspect(message, { showHidden: true, depth: Number.POSITIVE_INFINITY });
  for (const [, quoted = ""] of shown.matchAll(/'((?:[^'\\]|\\.)*)'/g)) {
    if (quoted !== store && !shown.includes(`store: '${quoted}'`) && !isHarmless(quoted)) {
      leaks.push(quoted);
    }
  }
  const { operation, event, outcome } = message as Record<string, string>;
  const kind = event ?? `${operation} ${outcome}`;
  kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
}

const names = ["get", "set", "touch", "destroy"].flatMap((operation) =>
  ["start", "end", "asyncStart", "asyncEnd", "error"].map(
    (phase) => `tracing:redis-session-store:${operation}:${phase}`,
  ),
);
names.push("redis-session-store:event");

let server: Server;
beforeAll(async () => {
  server = await startServer();
  for (const name of names) channel(name).subscribe(hear);
});
afterAll(async () => {
  for (const name of names) channel(name).unsubscribe(hear);
  await server?.stop();
});

const ways = plain.filter(({ name }) => /^(redis 6|ioredis 6)/.test(name)).slice(0, 2);

describe.each(ways)("while everybody listens: $name", ({ open }) => {
  const place = async () => ({
    ...(await open(server)),
    keyPrefix: "",
    command: (_key: string, ...command: (string | Buffer)[]) => server.command(...command),
    everywhere: async (...command: string[]) => [await server.command(...command)],
  });
  conformance("everything works as ever", place);
  userIndexSuite("and for users too", place);
});

test("no message of all these held a session id, content or a user", () => {
  expect(leaks.slice(0, 10)).toEqual([]);
  for (const kind of ["get hit", "get miss", "set OK", "set MERGED", "set GONE", "touch renewed"]) {
    expect(kinds.get(kind)).toBeGreaterThan(0);
  }
  for (const kind of ["destroy removed", "get error", "merged", "discarded", "ended"]) {
    expect(kinds.get(kind)).toBeGreaterThan(0);
  }
});
