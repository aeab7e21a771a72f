// Where a listing that goes on later has come to.
import { createHash } from "node:crypto";
import { StoreError } from "../base/index.js";

/** Where a listing has come to, on all the servers that it has to visit. */
export interface Bookmark {
  /** The cursor of SCAN on the server that is being listed. */
  readonly cursor: string;
  /** Which run of that server gave the cursor; to any other it means nothing. Empty: unknown. */
  readonly run: string;
  /** The server that is being listed. Empty: none yet, or there is only one. */
  readonly at: string;
  /** The servers that were listed to the end. */
  readonly done: readonly string[];
}

/** Before the first page. */
export const START: Bookmark = { cursor: "0", run: "", at: "", done: [] };

const FORM = /^1\.(\d{1,20})\.([\w-]{8})?\.([\w-]{8})?((?:\.[\w-]{8})*)$/;

/** The bookmark as text, which names no server to who reads it. */
export function bookmarkText({ cursor, run, at, done }: Bookmark): string {
  return ["1", cursor, run, at, ...done].join(".");
}

/** @throws ERR_INVALID_OPTION for what is no such text */
export function bookmarkOf(text: string): Bookmark {
  const [, cursor = "", run = "", at = "", done = ""] = FORM.exec(text) ?? [];
  if (cursor !== "" && BigInt(cursor) < 2n ** 64n) {
    return { cursor, run, at, done: done.split(".").slice(1) };
  }
  throw new StoreError(
    "ERR_INVALID_OPTION",
    "the cursor is none that page() gave; begin without one",
  );
}

/** A short name of a server, or of one run of it. */
export function nameOf(server: string): string {
  return server && createHash("sha256").update(server).digest("base64url").slice(0, 8);
}
