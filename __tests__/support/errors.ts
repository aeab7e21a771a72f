import { inspect } from "node:util";

// Collects the errors of the stores that a suite makes, to see that none of them holds a secret.

const seen = new Set<Error>();
const secrets = new Set<string>();

/** Shorter texts are found by chance. */
const SHORTEST = 12;

/** Notes an error that left a store. */
export function noteError(error: unknown): void {
  if (error instanceof Error && error.name === "StoreError") seen.add(error);
}

/** Names texts that no error may hold: passwords, ids, content. */
export function keepSecret(...texts: unknown[]): void {
  for (const text of texts) {
    if (typeof text === "string" && text.length >= SHORTEST) secrets.add(text);
  }
}

/** What an error may have, of the store or of a client; a client's own often has the command. */
const KNOWN = new Set(["name", "message", "stack", "code", "cause", "errno", "syscall", "address"]);
for (const name of ["port", "removed", "unreadable"]) KNOWN.add(name);

function* chainOf(error: Error): Generator<Error> {
  for (let one: unknown = error; one instanceof Error; one = one.cause) yield one;
}

/** Walks all errors that were noted, at any depth; how many there were. */
export function expectNoSecrets(): number {
  const count = seen.size;
  for (const error of seen) {
    const text = inspect(error, { depth: Number.POSITIVE_INFINITY, showHidden: true });
    for (const secret of secrets) {
      if (text.includes(secret)) throw new Error(`an error holds ${secret}: ${text}`);
    }
    for (const { message, ...own } of chainOf(error)) {
      const other = Object.keys(own).filter((name) => !KNOWN.has(name));
      if (other.length > 0) throw new Error(`an error holds ${other.join(", ")}: ${message}`);
    }
  }
  seen.clear();
  return count;
}
