// The pages: overview, list, a user's sessions, one session, what was done.
import { chart } from "./charts.js";
import type { Content } from "./content.js";
import { type Frame, link, page } from "./frame.js";
import { type Html, html, type Part } from "./html.js";
import type { Listed, Seen } from "./scan.js";
import type { Server } from "./servers.js";
import { bytesOf, counted, grouped, spanOf } from "./words.js";

/** A row of a list, and the name that leads to its page. */
export interface Named {
  readonly listed: Listed;
  readonly name: string;
}

/** What ends something: the words on it, and the sealed name of what it ends. */
export interface Action {
  readonly title: string;
  readonly warning: string;
  readonly of: string;
}

export interface OverviewFacts {
  readonly seen: Seen;
  readonly largest: readonly Named[];
  /** How long was looked, in ms. */
  readonly patience: number;
  /** Whether one may look for longer. */
  readonly mayWait: boolean;
  readonly servers: readonly Server[] | undefined;
  /** How long Redis took to answer, in ms. */
  readonly ping: number;
}

export function overviewPage(frame: Frame, facts: OverviewFacts): Html {
  const { seen, largest, servers, ping } = facts;
  const mean = seen.sessions === 0 ? 0 : Math.round(seen.bytes / seen.sessions);
  const total = [
    fact("Sessions", `${grouped(seen.sessions)}${seen.isWhole ? "" : " or more"}`),
    seen.ofUsers !== undefined && fact("Of users", grouped(seen.ofUsers)),
    fact("Content", bytesOf(seen.bytes)),
    fact("On average", bytesOf(mean)),
  ];
  const body = html`<dl class="facts">${total}</dl>
${howFar(facts)}
${seen.sessions > 0 && html`<div class="charts">${chart("Age", seen.ages)}${chart("Time left", seen.lefts)}${chart("Size", seen.sizes)}</div>`}
${sealing(seen)}
${largest.length > 0 && html`<h2>The largest</h2>${table(largest, seen.ofUsers !== undefined)}`}
<h2>Redis</h2>
${redis(servers, ping)}`;
  return page(frame, "Overview", "overview", body);
}

function fact(label: string, value: Part): Html {
  return html`<div><dt>${label}</dt><dd>${value}</dd></div>`;
}

function howFar({ seen, patience, mayWait }: OverviewFacts): Html {
  if (seen.isWhole) {
    return html`<p class="quiet">This is of all sessions. While they change, one may count twice or not at all; one that cannot be read is left out.</p>`;
  }
  const longer =
    mayWait && html` <a href="${link("overview", { look: "longer" })}">Look for longer</a>`;
  return html`<p class="note">There are more: after ${spanOf(patience)}, ${counted(seen.sessions, "session")} had been looked at. All numbers here are of these.${longer}</p>`;
}

function sealing({ keys, sessions }: Seen): Part {
  if (sessions === 0 || (keys.size === 1 && keys.has(null))) return undefined;
  const rows = [...keys].map(([key, count]) => [key ?? "plain", count] as const);
  return html`<h2>Encryption</h2>${chart("Sealed under the key", rows)}`;
}

function redis(servers: readonly Server[] | undefined, ping: number): Html {
  const answered = html`<p class="quiet">It answered in ${ping.toFixed(1)} ms.</p>`;
  if (servers === undefined || servers.length === 0) {
    return html`${answered}<p>Its memory is unknown: the client may not ask for it by INFO.</p>`;
  }
  const rows = servers.map(
    (one) =>
      html`<tr><th scope="row">${one.address}</th><td>${one.version}</td><td>${one.used === undefined ? "unknown" : bytesOf(one.used)}${one.limit !== undefined && html` of ${bytesOf(one.limit)}`}${one.used !== undefined && one.limit === undefined && ", no limit"}</td><td>${one.policy}</td><td>${one.evicted === undefined ? "unknown" : grouped(one.evicted)}</td></tr>`,
  );
  return html`${answered}<div class="scroll" role="region" aria-label="Servers" tabindex="0"><table><thead><tr><th scope="col">Server</th><th scope="col">Version</th><th scope="col">Memory</th><th scope="col">When it is full</th><th scope="col">Evicted keys</th></tr></thead><tbody>${rows}</tbody></table></div>
${servers.some(({ evicted = 0 }) => evicted > 0) && html`<p class="note">Redis has evicted keys since it was started: sessions may have ended early.</p>`}`;
}

/** Sessions in a table; on a narrow screen each is a block of lines. */
function table(rows: readonly Named[], hasUsers: boolean): Html {
  const heads = ["Session", hasUsers && "User", "Created", "Ends in", "Size", "Sealed under"];
  const labels = heads.filter((head) => head !== false);
  const head = labels.map((label) => html`<th role="columnheader" scope="col">${label}</th>`);
  return html`<table class="sessions" role="table"><thead role="rowgroup"><tr role="row">${head}</tr></thead><tbody role="rowgroup">${rows.map((row) => line(row, hasUsers))}</tbody></table>`;
}

function line({ listed, name }: Named, hasUsers: boolean): Html {
  const cell = (label: string, value: Part) =>
    html`<td role="cell"><span class="label" aria-hidden="true">${label}</span><span>${value}</span></td>`;
  return html`<tr role="row"><td role="cell"><a href="${link("session", { name })}"><code>${shortOf(listed.handle)}</code></a></td>${hasUsers && cell("User", listed.user === undefined ? "–" : userLink(listed.user))}${cell("Created", createdOf(listed))}${cell("Ends in", endOf(listed))}${cell("Size", bytesOf(listed.bytes))}${cell("Sealed under", listed.keyId ?? "–")}</tr>`;
}

/** Enough of a handle to tell sessions of a page apart. */
function shortOf(handle: string): string {
  return handle.slice(0, 12);
}

function userLink(user: string): Html {
  return html`<a href="${link("user", { id: user })}">${user}</a>`;
}

function createdOf({ created, at }: Listed): Part {
  return created === null ? "not noted" : html`${timeOf(created, spanOf(at - created))} ago`;
}

function endOf({ expires, at }: Listed): Part {
  return expires === null ? "no end" : timeOf(expires, spanOf(expires - at));
}

function timeOf(ms: number, words: string): Html {
  const iso = new Date(ms).toISOString();
  return html`<time datetime="${iso}" title="${iso}">${words}</time>`;
}

export interface ListFacts {
  readonly rows: readonly Named[];
  readonly hasUsers: boolean;
  /** Of the next page. */
  readonly cursor: string | null;
  readonly isFirst: boolean;
}

export function listPage(frame: Frame, { rows, hasUsers, cursor, isFirst }: ListFacts): Html {
  const none =
    cursor === null
      ? html`<p>${isFirst ? "There are no sessions." : "There are no more sessions."}</p>`
      : html`<p>There are none in this part of Redis. Go on.</p>`;
  const ways = [
    !isFirst && html`<a href="${link("list")}">From the beginning</a>`,
    cursor !== null && html`<a class="button" href="${link("list", { cursor })}">Next page</a>`,
  ];
  const body = html`${rows.length === 0 ? none : table(rows, hasUsers)}
<nav class="ways" aria-label="More of the list">${ways}</nav>
<p class="quiet">In the order in which Redis keeps them. One may come twice.</p>`;
  return page(frame, "All sessions", "list", body);
}

export interface UserFacts {
  readonly user: string;
  readonly rows: readonly Named[];
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
  const time = html`<time datetime="${new Date(listed.at).toISOString()}">${new Date(listed.at).toISOString().slice(11, 19)} UTC</time>`;
  const body = html`${content === undefined && html`<p class="note">This session is over${why}.</p>`}
<dl class="facts">${dates}</dl>
<p class="quiet">As it was listed at ${time}.</p>
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
      html`<details><summary>${title}…</summary><form method="post" action="?"><p>${warning}</p><input type="hidden" name="of" value="${of}"><button class="bad" type="submit">${title}</button></form></details>`,
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
