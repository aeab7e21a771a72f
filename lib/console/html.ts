// Makes HTML of templates: whatever a template takes in is escaped.

/** Text that is HTML already; only {@link html} makes it. */
export class Html {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What a template takes in; nothing stands for `undefined` and `false`. */
export type Part = Html | string | number | false | undefined | readonly Part[];

/** A template of HTML. An attribute stands in double quotation marks. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  // Strings are added and not joined: V8 copies their characters once, at the end, however deep they nest.
  let text = strings[0] ?? "";
  for (let index = 0; index < parts.length; index++) {
    text += textOf(parts[index]) + (strings[index + 1] ?? "");
  }
  return new Html(text);
}

function textOf(part: Part): string {
  if (part instanceof Html) return part.toString();
  if (Array.isArray(part)) {
    let text = "";
    for (const one of part as readonly Part[]) text += textOf(one);
    return text;
  }
  return part === undefined || part === false ? "" : escaped(String(part));
}

const ENTITIES: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Shown as their number: controls, what turns the direction of text, what nobody sees, half a pair. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** Most text: printable ASCII without what HTML means by it. */
const PLAIN = /^[ !#-%(-;=?-~]*$/;

function escaped(text: string): string {
  if (PLAIN.test(text)) return text;
  return text
    .replace(UNSEEN, (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`)
    .replace(/[&<>"']/g, (one) => ENTITIES[one] ?? "");
}
