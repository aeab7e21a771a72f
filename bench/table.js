/** @param {number} us */
export const perOperation = (us) => `${us.toFixed(us < 10 ? 2 : 1)} µs`;

/** @param {number} ratio */
export const times = (ratio) => ratio.toFixed(2);

/** @param {import("./measure.js").Spread} spread */
export const range = ({ median, min, max }) => `${times(median)} (${times(min)}–${times(max)})`;

/** @param {boolean} met */
export const verdict = (met) => (met ? "yes" : "**no**");

/**
 * A Markdown table that is readable as plain text too.
 *
 * @param {string[]} head
 * @param {string[][]} rows
 */
export function table(head, rows) {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (/** @type {string[]} */ cells) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}
