// Calls the serializer of the app and refuses what is no session.

import { StoreError, within, withoutContent } from "../base/index.js";
import { shortSid } from "./keys.js";
import type { Tree } from "./trees.js";
import type { Value } from "./value.js";

/**
 * Turns sessions into text and back; `JSON` is one. Both functions may be async.
 *
 * `stringify` gets the session object as the app uses it (a `Session` with a `Cookie`), `parse`
 * must return an object. What `stringify` makes of a parsed session must parse to equal values,
 * the text itself may differ each time (encryption with a random IV).
 */
export interface TextSerializer {
  parse(text: string): unknown;
  stringify(session: object): string | Promise<string>;
  readonly binary?: false | undefined;
}

/** A serializer whose sessions are bytes in Redis: compressed, encrypted, MessagePack. */
export interface BinarySerializer {
  parse(bytes: Buffer): unknown;
  stringify(session: object): Uint8Array | Promise<Uint8Array>;
  readonly binary: true;
}

/** How sessions are written to Redis. */
export type Serializer = TextSerializer | BinarySerializer;

/**
 * Reads a session, and refuses what is none; at once where the serializer answers at once. A binary
 * one gets a copy: what it makes may be views of what it read, which the app then changes.
 *
 * @throws ERR_CORRUPT_SESSION
 */
export function decode(serializer: Serializer, value: Value, sid: string): Tree | Promise<Tree> {
  let parsed: unknown;
  try {
    parsed = serializer.parse(
      (serializer.binary ? copyOf(value as Buffer) : value) as string & Buffer,
    );
  } catch (error) {
    throw corrupt(sid, "the serializer cannot parse it", error);
  }
  if (!isThenable(parsed)) return asSession(parsed, sid);
  return Promise.resolve(parsed).then(
    (session) => asSession(session, sid),
    (error) => {
      throw corrupt(sid, "the serializer cannot parse it", error);
    },
  );
}

function asSession(parsed: unknown, sid: string): Tree {
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw corrupt(sid, "it is no object");
  }
  const { cookie } = parsed as { cookie?: { maxAge?: unknown; originalMaxAge?: unknown } | null };
  if (!isMaxAge(cookie?.maxAge) || !isMaxAge(cookie?.originalMaxAge)) {
    throw corrupt(sid, "the maxAge of its cookie is no number");
  }
  return parsed as Tree;
}

/** Of anything else express-session throws in the middle of a response, which then never ends. */
function isMaxAge(value: unknown): boolean {
  return !value || typeof value === "number" || value instanceof Date;
}

/** Whether a value has to be awaited. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}

/**
 * Writes a session; at once where the serializer answers at once. That is called at once in any case,
 * so that what is stored is the session as it was when the app asked to save it.
 *
 * @param timeout - how long the serializer may take, in ms
 * @throws ERR_INVALID_SESSION
 */
export function encode(
  serializer: Serializer,
  session: object,
  timeout: number,
): Value | Promise<Value> {
  let value: unknown;
  try {
    value = serializer.stringify(session);
    if (isThenable(value)) {
      value = within(value, timeout, "serializer.stringify", "ERR_INVALID_SESSION");
    }
  } catch (error) {
    throw unwritable(serializer, session, error);
  }
  if (!(value instanceof Promise)) return asValue(serializer, value);
  return value.then(
    (written) => asValue(serializer, written),
    (error) => {
      throw unwritable(serializer, session, error);
    },
  );
}

function unwritable(serializer: Serializer, session: object, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const cause = withoutContent(error);
  return new StoreError(
    "ERR_INVALID_SESSION",
    `the session cannot be serialized: ${whyNot(serializer, session, error, cause)}; nothing was stored`,
    cause,
  );
}

function asValue(serializer: Serializer, value: unknown): Value {
  if (serializer.binary && value instanceof Uint8Array) {
    // A serializer may use its memory again for the next session.
    return copyOf(value);
  }
  if (serializer === JSON && typeof value === "string" && !value.startsWith("{")) {
    const message = "the session's toJSON must return an object; nothing was stored";
    throw new StoreError("ERR_INVALID_SESSION", message);
  }
  if (!serializer.binary && typeof value === "string") return value;
  const wanted = serializer.binary ? "a Uint8Array" : "a string";
  throw new StoreError(
    "ERR_INVALID_SESSION",
    `serializer.stringify must return ${wanted}, got ${value === null ? "null" : typeof value}; nothing was stored`,
  );
}

/** Bytes in memory of their own; a small Buffer shares it with others. */
export function copyOf(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

/** Why a session cannot be written: which of its keys, and what that holds, without a word of it. */
function whyNot(
  serializer: Serializer,
  session: object,
  error: unknown,
  cause: Error | undefined,
): string {
  if (serializer !== JSON) {
    return `serializer.stringify threw ${cause?.message.replace(/\s+/g, " ") ?? "no error"}`;
  }
  for (const key of Object.keys(session)) {
    try {
      JSON.stringify((session as Tree)[key]);
    } catch (reason) {
      const name = key.length > 40 ? `${key.slice(0, 40)}…` : key;
      return `its key ${JSON.stringify(name)} ${faultOf(reason)}`;
    }
  }
  return `it ${faultOf(error)}`;
}

/** Node's own errors may be of another realm than ours. */
function faultOf(error: unknown): string {
  const { name, message } = (error ?? {}) as Partial<Error>;
  const text = name === "TypeError" ? String(message) : "";
  if (/BigInt/.test(text)) {
    return "holds a BigInt, which JSON does not know: store it as text";
  }
  if (/circular structure/.test(text)) {
    return "holds an object that holds itself: store ids instead of objects";
  }
  if (name === "RangeError") return "is too large, or nested too deeply";
  return "has a toJSON() or a getter that throws";
}

function corrupt(sid: string, why: string, cause?: unknown): StoreError {
  const message = `what Redis holds for ${shortSid(sid)} is not a session: ${why}; destroy it or fix the serializer`;
  return new StoreError("ERR_CORRUPT_SESSION", message, withoutContent(cause));
}
