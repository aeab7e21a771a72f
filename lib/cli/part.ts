// What each part of the command gets and gives.
import type { Connection } from "./connect.js";
import type { Console } from "./console.js";
import type { ExitCode } from "./failure.js";

/** What stands on the command line. */
export interface Arguments {
  readonly handles: readonly string[];
  readonly json: boolean;
  readonly user: string | undefined;
  readonly except: readonly string[];
  readonly limit: number | undefined;
  readonly largest: number | undefined;
  readonly values: boolean;
  readonly all: boolean;
  readonly because: string | undefined;
  readonly yes: boolean;
}

/** One part of the command. */
export type Part = (
  connection: Connection,
  given: Arguments,
  terminal: Console,
) => Promise<ExitCode>;
