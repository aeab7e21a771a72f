// The pieces of pages: facts, rows of sessions, dates.
import { link } from "./frame.js";
import { type Html, html, type Part } from "./html.js";
import type { Listed } from "./listed.js";
import { bytesOf, counted, spanOf } from "./words.js";

/** A row of a list, and the name that leads to its page. */
export interface Named {
  readonly listed: Listed;
  readonly name: string;
}

export function fact(label: string, value: Part): Html {
  return html`<div><dt>${label}</dt><dd>${value}</dd></div>`;
}

/** Sessions in a table, each a {@link row}; on a narrow screen each is a block of lines. */
export function table(rows: readonly Html[], hasUsers: boolean): Html {
  const heads = ["Session", hasUsers && "User", "Created", "Ends in", "Size", "Sealed under"];
  const labels = heads.filter((head) => head !== false);
  const head = labels.map((label) => html`<th role="columnheader" scope="col">${label}</th>`);
  return html`<table class="sessions" role="table"><thead role="rowgroup"><tr role="row">${head}</tr></thead><tbody role="rowgroup">${rows}</tbody></table>`;
}

/** A session in a table. */
export function row({ listed, name }: Named, hasUsers: boolean): Html {
  const cell = (label: string, value: Part) =>
    html`<td role="cell"><span class="label" aria-hidden="true">${label}</span><span>${value}</span></td>`;
  return html`<tr role="row"><td role="cell"><a href="${link("session", { name })}"><code>${shortOf(listed.handle)}</code></a></td>${hasUsers && cell("User", listed.user === undefined ? "–" : userLink(listed.user))}${cell("Created", createdOf(listed))}${cell("Ends in", endOf(listed))}${cell("Size", bytesOf(listed.bytes))}${cell("Sealed under", listed.keyId ?? "–")}</tr>`;
}

/** Enough of a handle to tell sessions of a page apart. */
export function shortOf(handle: string): string {
  return handle.slice(0, 12);
}

export function userLink(user: string): Html {
  return html`<a href="${link("user", { id: user })}">${user}</a>`;
}

export function createdOf({ created, at }: Listed): Part {
  return created === null ? "not noted" : html`${timeOf(created, spanOf(at - created))} ago`;
}

export function endOf({ expires, at }: Listed): Part {
  return expires === null ? "no end" : timeOf(expires, spanOf(expires - at));
}

/** When something was seen. */
export function clockOf(ms: number): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}">${iso.slice(11, 19)} UTC</time>`;
}

function timeOf(ms: number, words: string): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}" title="${iso}">${words}</time>`;
}

/** Says of keys that hold no session that can be read. */
export function unreadableNote(count: number): Part {
  if (count === 0) return undefined;
  return html`<p class="note">${counted(count, "key")} of this prefix cannot be read as a session: another program uses the prefix, or this store lacks the serializer or the key of encryption.</p>`;
}
