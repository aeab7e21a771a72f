// What all pages have around them, and how they lead to each other.
import { type Html, html, type Part } from "./html.js";

/** What is asked for; an address of the console differs in its query alone. */
export type Place = "overview" | "list" | "user" | "session" | "done" | "style" | "icon";

/**
 * A link that holds under any path and behind any proxy: it names no path.
 *
 * @param query - besides the place
 */
export function link(place: Place, query: Record<string, string> = {}): string {
  const named = place === "overview" ? query : { at: place, ...query };
  // Half a pair of a name that an app took over would be refused.
  const parts = Object.entries(named).map(
    ([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`,
  );
  return `?${parts.join("&")}`;
}

/** What stands around the body of a page. */
export interface Frame {
  /** Of the store, for an app that has two. */
  readonly prefix: string;
  /** As who one is here, in words. */
  readonly access: string;
}

/** A whole page. */
export function page(frame: Frame, title: string, place: Place, body: Part): Html {
  const tab = (to: Place, label: string) =>
    html`<a href="${link(to)}"${place === to && html` aria-current="page"`}>${label}</a>`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} – sessions ${frame.prefix}</title>
<link rel="stylesheet" href="${link("style")}">
<link rel="icon" type="image/svg+xml" href="${link("icon")}">
</head>
<body>
<a class="skip" href="#main">To the content</a>
<header>
<p class="brand">Sessions <code>${frame.prefix}</code></p>
<nav aria-label="Pages">${tab("overview", "Overview")}${tab("list", "All sessions")}</nav>
<form role="search" method="get" class="find"><input type="hidden" name="at" value="user"><label for="find">User</label><input id="find" name="id" required maxlength="500" autocomplete="off" spellcheck="false"><button type="submit">Find</button></form>
</header>
<main id="main" tabindex="-1">
<h1>${title}</h1>
${body}
</main>
<footer>${frame.access}</footer>
</body>
</html>
`;
}

/** A page for who may see nothing: without the style sheet, which is not for everybody either. */
export function plainPage(title: string, words: string): Html {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${words}</p>
</main>
</body>
</html>
`;
}
