// Draws how many sessions are how old, how long-lived and how large, as SVG.
import { type Html, html } from "./html.js";
import { grouped } from "./words.js";

/** A row of a chart: what is counted, and how many there are. */
export type Row = readonly [label: string, count: number];

const WIDTH = 320;
const ROW = 22;
const LABEL = 96;
const COUNT = 74;

/** A picture of bars, one below the other. Its numbers are in its text, for who cannot see it. */
export function chart(title: string, rows: readonly Row[]): Html {
  const most = Math.max(1, ...rows.map(([, count]) => count));
  const told = rows.map(([label, count]) => `${label}: ${grouped(count)}`).join(", ");
  const bars = rows.map(([label, count], index) => {
    const y = index * ROW;
    const length = count === 0 ? 0 : Math.max(2, ((WIDTH - LABEL - COUNT) * count) / most);
    return html`<text x="0" y="${y + 15}">${label}</text><rect x="${LABEL}" y="${y + 4}" width="${length.toFixed(1)}" height="14" rx="2"/><text class="count" x="${WIDTH}" y="${y + 15}" text-anchor="end">${grouped(count)}</text>`;
  });
  return html`<figure><figcaption>${title}</figcaption><svg viewBox="0 0 ${WIDTH} ${rows.length * ROW}" role="img" aria-label="${title}. ${told}">${bars}</svg></figure>`;
}
