// Shows what a session holds: the names of its keys, types and sizes; a value only where `reveal` says so.
import { types } from "node:util";
import { kindOf } from "./words.js";

/** A line of the content of a session. */
interface Line {
  readonly path: readonly string[];
  /** Its type and size. */
  readonly kind: string;
  /** Whether what is in it follows as lines of its own. */
  readonly isTree: boolean;
  /** What was revealed; `undefined`: hidden. */
  readonly shown: string | undefined;
}

/** What is shown of a session. */
export interface Content {
  readonly lines: readonly Line[];
  /** Whether there is more than is shown. */
  readonly isCut: boolean;
}

const MOST_LINES = 500;
const DEEPEST = 12;
const LONGEST = 2000;

/** @param isRevealed - the option `reveal`, for who asks */
export function contentOf(
  session: object,
  isRevealed: (path: readonly string[], value: unknown) => boolean,
): Content {
  const lines: Line[] = [];
  let isCut = false;
  const walk = (tree: object, above: readonly string[]): void => {
    for (const key of Object.keys(tree)) {
      if (lines.length === MOST_LINES) {
        isCut = true;
        return;
      }
      const value = (tree as Record<string, unknown>)[key];
      const path = [...above, key];
      const kind = kindOf(value);
      const isTree = isInner(value);
      const shown = !isTree && isRevealed(path, value) ? shownAs(value) : undefined;
      lines.push({ path, kind, isTree, shown });
      if (!isTree) continue;
      if (path.length < DEEPEST) walk(value, path);
      else isCut ||= Object.keys(value).length > 0;
    }
  };
  walk(session, []);
  return { lines, isCut };
}

/** Whether it is an array or an object of others. */
function isInner(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  return Array.isArray(value) || kindOf(value).startsWith("object, ");
}

function shownAs(value: unknown): string {
  let text: string;
  if (typeof value === "string") text = value;
  else if (types.isDate(value)) text = JSON.stringify(value) ?? "";
  else if (ArrayBuffer.isView(value)) {
    text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex");
  } else text = String(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}
