import * as vega from "vega";
import { compile } from "vega-lite";

/**
 * The ground, text, lines of the grid, one for each series, and red for a goal: in the light and in the
 * dark scheme. The ground is drawn, since a page may be white for a reader who prefers the dark.
 */
const COLOURS = [
  { light: "#ffffff", dark: "#0d1117" },
  { light: "#1f2328", dark: "#f0f6fc" },
  { light: "#d0d7de", dark: "#3d444d" },
  { light: "#6e7781", dark: "#9198a1" },
  { light: "#0969da", dark: "#4493f8" },
  { light: "#8250df", dark: "#ab7df8" },
  { light: "#d1242f", dark: "#f85149" },
];
const [ground, text, grid, ...series] = /** @type {[string, string, string, ...string[]]} */ (
  COLOURS.map(({ light }) => light)
);

/** @type {import("vega-lite").Config} */
const config = {
  background: "transparent",
  font: "system-ui, sans-serif",
  axis: {
    labelColor: text,
    titleColor: text,
    gridColor: grid,
    domainColor: grid,
    tickColor: grid,
    labelLimit: 300,
  },
  header: { labelColor: text, titleColor: text },
  legend: { labelColor: text, titleColor: text, labelLimit: 300 },
  title: { color: text, subtitleColor: text },
  view: { stroke: null },
  bar: { color: series[1] ?? text },
  rule: { color: text },
  range: { category: series },
};

/**
 * An SVG that follows the colour scheme of the reader.
 *
 * @param {import("vega-lite").TopLevelSpec} spec
 * @returns {Promise<string>}
 */
export async function draw(spec) {
  const view = new vega.View(vega.parse(compile({ ...spec, config }).spec), { renderer: "none" });
  const svg = await view.toSVG();
  const rules = COLOURS.map(
    ({ light, dark }) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`,
  );
  const style = `<style>@media (prefers-color-scheme: dark){${rules.join("")}}</style>`;
  const page = `<rect width="100%" height="100%" fill="${ground}"/>`;
  return `${svg.replace(/<svg[^>]*>/, (tag) => tag + style + page)}\n`;
}
