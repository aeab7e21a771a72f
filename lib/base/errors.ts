// The one error class, its codes, and what an error of a client or a reply of Redis becomes.
import { types } from "node:util";

/** The codes of {@link StoreError}: stable, so that an app may branch on them. */
export type StoreErrorCode =
  /** An option of the constructor is missing, unknown, of a wrong type or out of range. */
  | "ERR_INVALID_OPTION"
  /** A session id that is no string, empty, or no well-formed Unicode. */
  | "ERR_INVALID_SID"
  /** A session that cannot be stored: no object, not serializable, or without a usable expiry. */
  | "ERR_INVALID_SESSION"
  /** The value in Redis is not a session. */
  | "ERR_CORRUPT_SESSION"
  /** The session is sealed, and the store has not the key that opens it; see the option `encryption`. */
  | "ERR_UNKNOWN_KEY"
  /** Other processes kept changing the session: for longer than `timeout`, or before each of 1,000 tries. */
  | "ERR_CONFLICT"
  /** The user has as many sessions as `maxSessionsPerUser` allows; the session was not stored. */
  | "ERR_TOO_MANY_SESSIONS"
  /** Redis did not answer within `timeout`, or a shorter one of the client. A write may or may not have happened. */
  | "ERR_TIMEOUT"
  /** There is no usable connection to Redis, or Redis is loading or has no primary. */
  | "ERR_UNAVAILABLE"
  /** The server is a read-only replica. */
  | "ERR_READONLY"
  /** The Redis user may not run the command, or is not logged in. */
  | "ERR_NO_PERMISSION"
  /** Redis reached `maxmemory`. */
  | "ERR_OUT_OF_MEMORY"
  /** Any other error reply of Redis. */
  | "ERR_REDIS"
  /** The store was closed, and what was asked for needs connections that it must not open any more. */
  | "ERR_CLOSED";

/**
 * Every error that the store itself raises. Recognise it by `code`, not by `instanceof`: the ES
 * module and the CommonJS build each have a class of their own.
 */
export class StoreError extends Error {
  override readonly name = "StoreError";
  /** What went wrong; stable across versions. */
  readonly code: StoreErrorCode;
  /** Of `destroyAllOf` with `scan` and ERR_UNKNOWN_KEY: how many sessions were ended. */
  declare readonly removed?: number;
  /** Of the same: how many sessions could not be read, and may be the user's. */
  declare readonly unreadable?: number;

  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** What the first word of an error reply means for a session store, and what to do about it. */
const REPLIES: Record<string, [StoreErrorCode, advice: string]> = {
  WRONGTYPE: ["ERR_CORRUPT_SESSION", "the key holds no string; another program uses this prefix"],
  READONLY: ["ERR_READONLY", "connect to the primary, not to a replica"],
  NOPERM: ["ERR_NO_PERMISSION", "grant the Redis user the commands that docs/redis-user.md lists"],
  NOAUTH: ["ERR_NO_PERMISSION", "give the client a username and password"],
  WRONGPASS: ["ERR_NO_PERMISSION", "check the client's username and password"],
  OOM: ["ERR_OUT_OF_MEMORY", "raise maxmemory or choose an eviction policy"],
  LOADING: ["ERR_UNAVAILABLE", "Redis is loading its data; try again"],
  MASTERDOWN: ["ERR_UNAVAILABLE", "the replica has lost its primary; try again"],
  CLUSTERDOWN: ["ERR_UNAVAILABLE", "the cluster does not serve this slot now; try again"],
  MOVED: ["ERR_UNAVAILABLE", "the slot is being moved; try again"],
  ASK: ["ERR_UNAVAILABLE", "the slot is being moved; try again"],
  TRYAGAIN: ["ERR_UNAVAILABLE", "the slot is being moved; try again"],
  BUSY: ["ERR_UNAVAILABLE", "Redis is busy with a script; try again"],
};

/** How a server older than Redis 7 reports what a command inside of a script was refused with. */
const IN_SCRIPT = /^ERR Error running script .*?: -?([A-Z]{2,}) /s;

/** How Redis 7.0 says NOPERM of a command inside of a script. */
const NOT_ALLOWED = /^ERR The user executing the script can't run this command/;

/** An error reply of Redis starts with a word in capitals; an error of the client or a socket does not. */
function replyWord(error: unknown): string | undefined {
  if (!(error instanceof Error) || "syscall" in error) return undefined;
  const { message } = error;
  if (NOT_ALLOWED.test(message)) return "NOPERM";
  return (IN_SCRIPT.exec(message) ?? /^([A-Z]{2,})(?: |$)/.exec(message))?.[1];
}

/** Whether an error of a client is an answer of Redis, and not the lack of one. */
export function isReply(error: unknown): boolean {
  return replyWord(error) !== undefined;
}

/** Whether Redis has not answered, or was not even asked; another attempt may succeed. */
export function isSilence(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === "ERR_TIMEOUT" || code === "ERR_UNAVAILABLE";
}

/** Whether Redis refused a script because it does not know it; nothing else proves that it did not run. */
export function isNoScript(error: unknown): boolean {
  return error instanceof StoreError && replyWord(error.cause) === "NOSCRIPT";
}

/** Whether Redis refused a command that it could not make out, and so did nothing. */
export function isSyntaxError(error: unknown): boolean {
  if (!(error instanceof StoreError)) return false;
  return error.cause instanceof Error && /^ERR syntax error/i.test(error.cause.message);
}

/**
 * Whether Redis sent a command on to another server of the cluster, and the client did not follow
 * that to the end. The command did not run.
 */
export function isRedirect(error: unknown): boolean {
  if (!(error instanceof StoreError)) return false;
  const word = replyWord(error.cause);
  return word === "MOVED" || word === "ASK";
}

/** Whether a client ended the wait for an answer before the store did. */
function isTimeout(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // node-redis and valkey-glide have a class for it, ioredis has a sentence.
  return error.constructor.name === "TimeoutError" || error.message === "Command timed out";
}

/** What clients say of a command that they did not send and will not; they say it of no other one. */
const NEVER_SENT = new Set([
  // node-redis
  "The command was aborted",
  "The client is closed",
  "The client is offline",
  "The queue is full",
  // ioredis and iovalkey
  "Stream isn't writeable and enableOfflineQueue options is false",
]);

/** Whether a client says that it did not send the command and will not. */
export function neverSent(error: unknown): boolean {
  return error instanceof Error && NEVER_SENT.has(error.message);
}

/**
 * The error for a command that could not be sent, because the client has no connection.
 *
 * @param complaint - what the client says about it; that may be an answer of Redis
 */
export function withoutConnection(message: string, complaint: Error | undefined): StoreError {
  if (complaint === undefined) return new StoreError("ERR_UNAVAILABLE", message);
  const [code, advice] = REPLIES[replyWord(complaint) ?? ""] ?? ["ERR_UNAVAILABLE"];
  const cause = withoutArguments(complaint) as Error & { code?: string };
  const said = cause.message || cause.code || cause.name;
  return new StoreError(code, `${message}: ${said}${advice ? ` (${advice})` : ""}`, cause);
}

/**
 * The typed form of whatever a client rejected with. Nothing that a socket throws leaves the store
 * as it is: express-session takes the code `ENOENT` for a missing session and replaces the cookie.
 *
 * @param thrown - what the client rejected with
 * @param command - the name of the Redis command that failed
 * @param where - of what server, and after how long
 */
export function fromClient(thrown: unknown, command: string, where: string): StoreError {
  const error = withoutArguments(thrown);
  const text = error?.message;
  const word = replyWord(error);
  if (word === undefined) {
    return new StoreError(
      isTimeout(thrown) ? "ERR_TIMEOUT" : "ERR_UNAVAILABLE",
      `no answer to ${command} from ${where}: ${text || "connection lost"}`,
      error,
    );
  }
  const [code, advice] = REPLIES[word] ?? ["ERR_REDIS"];
  return new StoreError(
    code,
    `${command} was refused: ${text}${advice ? ` (${advice})` : ""}`,
    error,
  );
}

/** How Redis quotes a command that it does not know, or that is disabled. */
const QUOTED = /, with args beginning with: .*$/s;

/** What of an error says where it happened; everything else may hold arguments, a password included. */
const PLACE = ["code", "errno", "syscall", "address", "port"] as const;

/** So deep is an error of a client copied. */
const DEEPEST = 4;

/**
 * A copy of an error of a client, and of its causes, without the arguments of commands: some replies
 * quote them, and clients add them, those of AUTH included. A session id is a credential too, and
 * errors are logged.
 */
function withoutArguments(error: unknown, depth = 0): Error | undefined {
  if (!isError(error)) return undefined;
  const message = error.message.replace(QUOTED, "");
  const copy = new Error(message);
  copyStack(error, copy);
  const known = error as unknown as Record<string, unknown>;
  for (const field of PLACE) {
    const value = known[field];
    if (typeof value === "string" || typeof value === "number")
      Object.assign(copy, { [field]: value });
  }
  if (depth < DEEPEST && error.cause !== undefined) {
    copy.cause = withoutArguments(error.cause, depth + 1);
  }
  return copy;
}

/** Everything between the first and the last quotation mark. */
const QUOTES = /".*"|'[^']*'|`[^`]*`/gs;

/**
 * A copy of an error of a serializer, which is what the app may log: `JSON.parse` quotes what it
 * could not read. Nothing in quotation marks stays.
 */
export function withoutContent(error: unknown): Error | undefined {
  if (!isError(error)) return undefined;
  const copy = new Error(error.message.replace(QUOTES, "…"));
  copyStack(error, copy);
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? Object.assign(copy, { code }) : copy;
}

/** Gives a copy the name of an error and its places in the code; a stack begins with the message. */
function copyStack({ name, stack = "" }: Error, copy: Error): void {
  copy.name = name;
  const places = stack.search(/^ {4}at /m);
  copy.stack = `${name}: ${copy.message}${places === -1 ? "" : `\n${stack.slice(places)}`}`;
}

/** Also of another realm, as those of Node itself are to a test runner. */
function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}
