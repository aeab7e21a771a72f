// How the command fails: a sentence and an exit code.
import { isSilence } from "../base/index.js";

/** 1: the doctor found something, 2: wrong usage, 3: no connection, 4: failed. */
export type ExitCode = 0 | 1 | 2 | 3 | 4;

/** Ends the command with a sentence. */
export class Failure extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Wrong usage. */
export function usage(message: string): Failure {
  return new Failure(2, message);
}

/** The exit code of an error of the store. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Failure) return error.exitCode;
  const { code } = error as { code?: unknown };
  if (code === "ERR_INVALID_OPTION" || code === "ERR_INVALID_SID") return 2;
  return isSilence(error) ? 3 : 4;
}
