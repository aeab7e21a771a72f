// The pages that are lists, and those of one session: all sessions, a user's, one, what was done.
import {
  clockOf,
  createdOf,
  endOf,
  fact,
  shortOf,
  table,
  unreadableNote,
  userLink,
} from "./cells.js";
import type { Content } from "./content.js";
import { LONGEST_REASON } from "./form.js";
import { type Frame, link, page } from "./frame.js";
import { type Html, html, type Part } from "./html.js";
import type { Listed } from "./listed.js";
import { bytesOf, counted } from "./words.js";

/** What ends something: the words on it, and the sealed name of what it ends. */
export interface Action {
  readonly title: string;
  readonly warning: string;
  readonly of: string;
}

export interface ListFacts {
  /** Of the table. */
  readonly rows: readonly Html[];
  readonly hasUsers: boolean;
  /** How many keys of this page hold no session that can be read. */
  readonly unreadable: number;
  /** Of the next page. */
  readonly cursor: string | null;
  readonly isFirst: boolean;
}

export function listPage(frame: Frame, facts: ListFacts): Html {
  const { rows, hasUsers, unreadable, cursor, isFirst } = facts;
  const none =
    cursor === null
      ? html`<p>${isFirst ? "There are no sessions." : "There are no more sessions."}</p>`
      : html`<p>There are none in this part of Redis. Go on.</p>`;
  const ways = [
    !isFirst && html`<a href="${link("list")}">From the beginning</a>`,
    cursor !== null && html`<a class="button" href="${link("list", { cursor })}">Next page</a>`,
  ];
  const body = html`${rows.length === 0 ? none : table(rows, hasUsers)}
${unreadableNote(unreadable)}
<nav class="ways" aria-label="More of the list">${ways}</nav>
<p class="quiet">In the order in which Redis keeps them. One may come twice.</p>`;
  return page(frame, "All sessions", "list", body);
}

export interface UserFacts {
  readonly user: string;
  /** Of the table. */
  readonly rows: readonly Html[];
  readonly actions: readonly Action[];
}

export function userPage(frame: Frame, { user, rows, actions }: UserFacts): Html {
  const body = html`<p>${counted(rows.length, "session")}${rows.length > 1 && ", the one that was last active first"}.</p>
${rows.length > 0 && table(rows, false)}
${rows.length > 0 && actionsOf(actions)}`;
  return page(frame, `User ${user}`, "user", body);
}

export interface SessionFacts {
  readonly listed: Listed;
  /** `undefined`: it is over. */
  readonly content: Content | undefined;
  /** Why it is over, where the store knows. */
  readonly why: string | undefined;
  readonly actions: readonly Action[];
  /** What went wrong besides. */
  readonly problem: string | undefined;
}

export function sessionPage(frame: Frame, facts: SessionFacts): Html {
  const { listed, content, why, actions, problem } = facts;
  const dates = [
    html`<div class="wide"><dt>Handle</dt><dd><code>${listed.handle}</code></dd></div>`,
    listed.user !== undefined && fact("User", userLink(listed.user)),
    fact("Created", createdOf(listed)),
    fact("Ends in", endOf(listed)),
    fact("Size", bytesOf(listed.bytes)),
    fact("Sealed under", listed.keyId ?? "–"),
  ];
  const body = html`${content === undefined && html`<p class="note">This session is over${why}.</p>`}
<dl class="facts">${dates}</dl>
<p class="quiet">As it was listed at ${clockOf(listed.at)}.</p>
${content !== undefined && html`<h2>Content</h2>${problem !== undefined && html`<p class="note">${problem}</p>`}${contentTable(content)}${actionsOf(actions)}`}`;
  return page(frame, `Session ${shortOf(listed.handle)}`, "session", body);
}

function contentTable({ lines, isCut }: Content): Html {
  if (lines.length === 0) return html`<p>There is nothing in it.</p>`;
  const rows = lines.map(({ path, kind, isTree, shown }) => {
    const value =
      shown === undefined ? html`<span class="quiet">hidden</span>` : html`<code>${shown}</code>`;
    const above = path.slice(0, -1).map((key) => html`${key} › `);
    return html`<tr><th scope="row"><span class="above">${above}</span>${path.at(-1)}</th><td>${kind}</td><td>${!isTree && value}</td></tr>`;
  });
  return html`<div class="scroll" role="region" aria-label="Content" tabindex="0"><table><thead><tr><th scope="col">Key</th><th scope="col">Type and size</th><th scope="col">Value</th></tr></thead><tbody>${rows}</tbody></table></div>${isCut && html`<p class="note">There is more in it than is shown.</p>`}`;
}

/** What ends something asks once more, without a script. */
function actionsOf(actions: readonly Action[]): Part {
  if (actions.length === 0) return undefined;
  const forms = actions.map(
    ({ title, warning, of }) =>
      html`<details><summary>${title}…</summary><form method="post" action="?"><p>${warning}</p><input type="hidden" name="of" value="${of}"><p><label>Reason, if you want to give one; the app may tell it to whoever is logged out<br><input name="because" maxlength="${LONGEST_REASON}" autocomplete="off"></label></p><button class="bad" type="submit">${title}</button></form></details>`,
  );
  return html`<section class="actions" aria-label="End sessions">${forms}</section>`;
}

/** What was done, and where to go on. */
export function donePage(frame: Frame, words: string, user: string | undefined): Html {
  const body = html`<p role="status">${words}</p>
<nav class="ways" aria-label="Go on">${user !== undefined && html`<a href="${link("user", { id: user })}">User ${user}</a>`}<a href="${link("list")}">All sessions</a></nav>`;
  return page(frame, "Done", "done", body);
}

/** What went wrong. */
export function faultPage(frame: Frame, title: string, words: string): Html {
  const body = html`<p>${words}</p><nav class="ways" aria-label="Go on"><a href="${link("list")}">All sessions</a></nav>`;
  return page(frame, title, "done", body);
}
