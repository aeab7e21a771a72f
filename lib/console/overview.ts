// The overview: how many sessions there are, of what kind, and how Redis does.
import { clockOf, fact, type Named, row, table, unreadableNote } from "./cells.js";
import { chart } from "./charts.js";
import { type Frame, link, page } from "./frame.js";
import { type Html, html, type Part } from "./html.js";
import type { Server } from "./servers.js";
import type { Seen } from "./tally.js";
import { bytesOf, counted, grouped, spanOf } from "./words.js";

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
    seen.ofUsers !== undefined && fact("Logged in", loggedIn(seen.ofUsers)),
    fact("Content", bytesOf(seen.bytes)),
    fact("On average", bytesOf(mean)),
  ];
  const hasUsers = seen.ofUsers !== undefined;
  const rows = largest.map((one) => row(one, hasUsers));
  const body = html`<dl class="facts">${total}</dl>
${howFar(facts)}
${unreadableNote(seen.unreadable)}
${seen.sessions > 0 && html`<div class="charts">${chart("Age", seen.ages)}${chart("Time left", seen.lefts)}${chart("Size", seen.sizes)}</div>`}
${sealing(seen)}
${largest.length > 0 && html`<h2>The largest</h2>${table(rows, hasUsers)}`}
<h2>Redis</h2>
${redis(servers, ping)}
<p class="quiet">Whether it is fit for sessions, <code>npx redis-session-store doctor</code> says, run in the folder of the app.</p>`;
  return page(frame, "Overview", "overview", body);
}

function loggedIn({ sessions, users }: NonNullable<Seen["ofUsers"]>): string {
  return `${grouped(sessions)}, ${counted(users, "user")}`;
}

function howFar({ seen, patience, mayWait }: OverviewFacts): Html {
  if (seen.isWhole) {
    return html`<p class="quiet">This is of all sessions at ${clockOf(seen.at)}. While they change, one may count twice or not at all.</p>`;
  }
  const longer =
    mayWait && html` <a href="${link("overview", { look: "longer" })}">Look for longer</a>`;
  return html`<p class="note">There are more: by ${clockOf(seen.at)}, after ${spanOf(patience)}, ${counted(seen.sessions, "session")} had been looked at. All numbers here are of these.${longer}</p>`;
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
