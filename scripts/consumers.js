import assert from "node:assert/strict";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./run.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const apps = fileURLToPath(new URL("consumers", import.meta.url));
/** @type {{ devDependencies: Record<string, string>, exports: object }} */
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const compiler = {
  module: "nodenext",
  target: "es2022",
  types: ["node"],
  strict: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: false,
  outDir: "compiled",
};

/**
 * Packs the package as npm publishes it.
 *
 * @param {string} dir where the tarball goes
 * @returns {Promise<string>} its path
 */
async function pack(dir) {
  const report = await run(
    "npm",
    ["pack", "--ignore-scripts", "--json", "--pack-destination", dir],
    { cwd: root },
  );
  // npm 12 gives an object keyed by name where earlier ones give a list.
  const [{ filename, files }] = Object.values(JSON.parse(report));
  /** @type {string[]} */
  const paths = files.map((/** @type {{ path: string }} */ file) => file.path);
  const wanted =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/(esm|cjs)\/.+\.([cm]?js|d\.[cm]?ts)(\.map)?|dist\/cjs\/package\.json|lib\/.+\.[cm]?ts|docs\/.+\.(md|svg|png|json|yml))$/;
  const strangers = paths.filter((path) => !wanted.test(path));
  assert.deepEqual(strangers, [], `the tarball holds what no user needs: ${strangers.join(", ")}`);
  for (const path of ["README.md", "LICENSE", "CHANGELOG.md", "dist/cjs/package.json"]) {
    assert(paths.includes(path), `the tarball lacks ${path}`);
  }
  return join(dir, filename);
}

/**
 * Installs the tarball beside one client, then compiles and runs every app of
 * that client against it.
 *
 * @param {string} tarball
 * @param {string} dir
 * @param {"redis" | "ioredis"} client
 */
async function consume(tarball, dir, client) {
  const at = join(dir, client);
  cpSync(join(apps, client), at, { recursive: true });
  const clients =
    client === "redis" ? ["redis", "redis4", "redis5"] : ["ioredis", "ioredis5", "iovalkey"];
  const names = ["express-session", "@types/express-session", "@types/node", ...clients];
  const dependencies = Object.fromEntries(
    names.map((name) => [name, manifest.devDependencies[name]]),
  );
  writeFileSync(
    join(at, "package.json"),
    JSON.stringify({
      private: true,
      dependencies: { ...dependencies, "redis-session-store": `file:${tarball}` },
    }),
  );
  writeFileSync(join(at, "tsconfig.json"), JSON.stringify({ compilerOptions: compiler }));
  await run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], {
    cwd: at,
  });

  const other = client === "redis" ? "ioredis" : "redis";
  assert(
    !existsSync(join(at, "node_modules", other)),
    `${other} is installed though nobody asked for it`,
  );

  await run(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc")], {
    cwd: at,
  });
  for (const source of readdirSync(join(apps, client))) {
    const app = source.startsWith("ts-") ? `compiled/${source.replace(/ts$/, "js")}` : source;
    await run(process.execPath, [app], { cwd: at });
  }
}

/** The tarball inside small apps: JavaScript and TypeScript, ES modules and CommonJS, one client installed. */
export async function consumers() {
  const dir = mkdtempSync(join(tmpdir(), "redis-session-store-consumers-"));
  try {
    const tarball = await pack(dir);
    await consume(tarball, dir, "redis");
    await consume(tarball, dir, "ioredis");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
