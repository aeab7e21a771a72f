// Names of options that do not exist, and the ones that were meant.
import { StoreError } from "./errors.js";

/**
 * What is wrong with the names in an object of options; `undefined` where nothing is.
 *
 * @param whose - whose options they are, for the message: `"the options"`, `"the options of page()"`
 * @param hint - what else is known of an unknown name, in place of the nearest one
 */
export function unknownNames(
  options: object,
  known: Iterable<string>,
  whose: string,
  hint: (name: string) => string | undefined = () => undefined,
): string | undefined {
  const names = [...known];
  const unknown = Object.keys(options).filter((name) => !names.includes(name));
  if (unknown.length === 0) return undefined;
  const listed = unknown.map((name) => {
    const nearest = nearestOf(name, names);
    const said = hint(name) ?? (nearest && `did you mean "${nearest}"?`);
    return said ? `"${short(name)}" (${said})` : `"${short(name)}"`;
  });
  const kind = unknown.length === 1 ? "unknown option" : "unknown options";
  return `${kind} ${listed.join(", ")}; ${whose} are ${names.join(", ")}`;
}

/**
 * Refuses what is no object of options, or has one that is not `known`.
 *
 * @param method - as the app calls it, such as `"page()"`
 * @throws ERR_INVALID_OPTION
 */
export function assertOptions(
  method: string,
  options: unknown,
  known: Iterable<string>,
): asserts options is object {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const got = Array.isArray(options) ? "an array" : options === null ? "null" : typeof options;
    const message = `${method} takes an object of options: ${[...known].join(", ")}; got ${got}`;
    throw new StoreError("ERR_INVALID_OPTION", message);
  }
  const wrong = unknownNames(options, known, `the options of ${method}`);
  if (wrong !== undefined) throw new StoreError("ERR_INVALID_OPTION", wrong);
}

function short(name: string): string {
  return name.length > 40 ? `${name.slice(0, 40)}…` : name;
}

/** The name that was probably meant: a third of it may be wrong, its case does not count. */
function nearestOf(name: string, names: readonly string[]): string | undefined {
  if (name.length > 40) return undefined;
  const asked = name.toLowerCase();
  let nearest: string | undefined;
  let least = Math.floor(asked.length / 3) + 1;
  for (const one of names) {
    const edits = editsBetween(asked, one.toLowerCase());
    if (edits < least) [nearest, least] = [one, edits];
  }
  return nearest;
}

/** How many letters have to be added, left out, changed, or swapped with the next one. */
function editsBetween(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let edits = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (isSame ? 0 : 1),
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        edits = Math.min(edits, (before[j - 2] as number) + 1);
      }
      row.push(edits);
    }
    [before, last] = [last, row];
  }
  return last[b.length] as number;
}
