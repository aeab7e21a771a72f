// The README as the package has it. The repository has no public address, so that npm could lead
// nowhere by a link of a page in it: pictures and links to files are left out, and pages that the
// package has are named.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

/** @param {string} text */
export function forNpm(text) {
  return text
    .replace(/^!\[[^\]]*\]\((?!https?:)[^)]*\)\n\n?/gm, "")
    .replace(/\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)/g, (_, label, target) => {
      const [path] = target.split("#");
      const isPacked = /^docs\/|^CHANGELOG\.md$/.test(path);
      return isPacked ? `${label} (\`${path}\`)` : label;
    });
}

/** `npm publish` reads it once more after it has packed, so then it is put back at the very end. */
if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const step = process.argv[2];
  const readme = fileURLToPath(new URL("../README.md", import.meta.url));
  // Whatever begins with README is packed, also where "files" does not name it.
  const kept = fileURLToPath(new URL("../.README.md.kept", import.meta.url));
  const isPublishing = process.env.npm_command === "publish";
  // What a pack that failed has left.
  if (existsSync(kept) && (step !== "postpack" || !isPublishing)) renameSync(kept, readme);
  if (step === "prepack") {
    const text = readFileSync(readme, "utf8");
    writeFileSync(kept, text);
    writeFileSync(readme, forNpm(text));
  }
}
