// What a check of the doctor says.

/** How a check went; `unknown`: it may not be made. */
export type Verdict = "fine" | "doubtful" | "broken" | "unknown";

/** What a check says, in one line, and what to do about it. */
export interface Finding {
  readonly verdict: Verdict;
  readonly check: string;
  readonly says: string;
  readonly advice?: string | undefined;
}
