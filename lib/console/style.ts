// The one style sheet, light and dark, and the icon.

export const STYLE = `:root {
  color-scheme: light dark;
  --page: #f6f7f9; --panel: #ffffff; --ink: #1d2329; --soft: #57616c; --line: #d7dce1;
  --accent: #0b5cab; --bar: #4a8fd6; --bad: #b3261e; --on-bad: #ffffff; --note: #fff4d6; --note-line: #c99a1d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --panel: #1c2024; --ink: #e7eaed; --soft: #a3acb5; --line: #343b42;
    --accent: #7cb8f5; --bar: #4a8fd6; --bad: #f2938c; --on-bad: #2b0b09; --note: #332a10; --note-line: #b8902c;
  }
}
* { box-sizing: border-box; }
html { font: 100%/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; background: var(--page); color: var(--ink); }
body { margin: 0 auto; padding: 0 1rem 2rem; max-width: 68rem; overflow-wrap: anywhere; }
a { color: var(--accent); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
main:focus { outline: none; }
code { font: .9em/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1.5rem 0 1rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .75rem; }
p { margin: .75rem 0; }
.skip { position: absolute; left: -100vw; background: var(--panel); padding: .5rem 1rem; }
.skip:focus { left: 1rem; top: .5rem; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; padding: .75rem 0; border-bottom: 1px solid var(--line); }
.brand { margin: 0; font-weight: 650; }
.brand code { color: var(--soft); font-weight: 400; }
header nav { display: flex; gap: .25rem; }
header nav a { padding: .35rem .6rem; border-radius: .4rem; text-decoration: none; }
header nav a:hover { text-decoration: underline; }
header nav a[aria-current] { background: var(--panel); color: var(--ink); box-shadow: inset 0 0 0 1px var(--line); }
.find { display: flex; gap: .5rem; align-items: center; margin-left: auto; flex: 0 1 20rem; }
.find label { color: var(--soft); }
.find input { flex: 1 1 6rem; }
input, button, .button { font: inherit; color: inherit; min-width: 0; padding: .35rem .7rem; border: 1px solid var(--soft); border-radius: .4rem; background: var(--panel); }
button, .button { cursor: pointer; text-decoration: none; display: inline-block; }
button:hover, .button:hover { border-color: var(--ink); }
.bad { background: var(--bad); color: var(--on-bad); border-color: var(--bad); font-weight: 600; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(9rem, 100%), 1fr)); gap: .75rem; margin: 0; }
.facts div { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.facts .wide { grid-column: 1 / -1; }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.facts dd code { font-size: .8em; }
.quiet, footer { color: var(--soft); font-size: .9rem; }
.note { background: var(--note); border-left: 4px solid var(--note-line); padding: .6rem .8rem; border-radius: 0 .4rem .4rem 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: .75rem; margin-top: 1rem; }
figure { margin: 0; max-width: 30rem; background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .8rem; }
figcaption { font-weight: 600; margin-bottom: .35rem; }
svg { display: block; width: 100%; height: auto; font-size: 13px; }
svg text { fill: var(--soft); }
svg .count { fill: var(--ink); font-variant-numeric: tabular-nums; }
svg rect { fill: var(--bar); }
table { border-collapse: collapse; width: 100%; background: var(--panel); border: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .45rem .75rem; border-bottom: 1px solid var(--line); font-weight: 400; }
thead th { color: var(--soft); font-size: .85rem; }
tbody tr:last-child > * { border-bottom: 0; }
.above { color: var(--soft); }
.label { display: none; }
.scroll { overflow-x: auto; }
.ways { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; margin: 1rem 0; }
.actions { display: grid; gap: .5rem; margin-top: 1.5rem; max-width: 36rem; }
.actions input { width: 100%; }
details { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .8rem; }
summary { cursor: pointer; }
footer { margin-top: 2.5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
@media (max-width: 44rem) {
  .find { margin-left: 0; flex: 1 1 100%; }
  .sessions, .sessions tbody, .sessions tr, .sessions td { display: block; }
  .sessions { border: 0; background: none; }
  .sessions thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .sessions tr { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .4rem .8rem; margin-bottom: .6rem; }
  .sessions td { border: 0; padding: .1rem 0; display: flex; gap: 1rem; justify-content: space-between; }
  .sessions thead tr { padding: 0; }
  .sessions .label { display: inline; color: var(--soft); flex: none; }
  .scroll th, .scroll td { overflow-wrap: normal; padding-inline: .4rem; }
  .scroll code { overflow-wrap: anywhere; }
}
`;

export const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="4" fill="#0b5cab"/><path d="M4 5h8M4 8h8M4 11h5" stroke="#fff" stroke-width="1.5"/></svg>';
