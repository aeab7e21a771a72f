import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = createRequire(import.meta.url).resolve("typescript/package.json");
const tsc = join(dirname(manifest), "bin", "tsc");

// A file that lib no longer has must not stay in the package.
rmSync(join(root, "dist"), { recursive: true, force: true });
for (const form of ["esm", "cjs"]) {
  execFileSync(process.execPath, [tsc, "-p", `tsconfig.${form}.json`], {
    cwd: root,
    stdio: "inherit",
  });
}
// The package is "type": "module"; this folder is not.
writeFileSync(join(root, "dist", "cjs", "package.json"), '{ "type": "commonjs" }\n');
