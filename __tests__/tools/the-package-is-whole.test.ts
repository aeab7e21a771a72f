import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { forNpm } from "../../scripts/npm-readme.js";
import { type Packed, pack } from "../support/app-folder.js";

// What npm gets, and who installs it.

const root = resolve(__dirname, "../..");
const run = promisify(execFile);

interface Manifest {
  exports: Record<string, { require: { types: string } } | string>;
  typesVersions: { "*": Record<string, string[]> };
  files: string[];
  scripts: Record<string, string>;
}
let manifest: Manifest;
let readme: string;
beforeAll(async () => {
  manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  readme = await readFile(join(root, "README.md"), "utf8");
});

test("each entry point has its types under moduleResolution node10 too", () => {
  const subpaths = Object.entries(manifest.exports).flatMap(([path, target]) =>
    path === "." || typeof target === "string" ? [] : [[path.slice(2), [target.require.types]]],
  );
  expect(subpaths.length).toBeGreaterThan(1);
  expect(manifest.typesVersions).toEqual({ "*": Object.fromEntries(subpaths) });
});

test("every link of npm's README leads somewhere, and what it names is in the package", () => {
  const text = forNpm(readme);
  const links = (page: string) => [...page.matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = ""]) => to);
  expect(links(text)).toEqual(links(readme).filter((to) => /^https?:|^#/.test(to)));
  expect(links(text).length).toBeGreaterThan(1);
  expect(text).not.toMatch(/!\[/);
  const named = [...text.matchAll(/\(`([^`]+)`\)/g)].map(([, path = ""]) => path);
  expect(named).toContain("docs/options.md");
  for (const path of named) expect(manifest.files).toContain(path.split("/")[0]);
});

test("npm's README is the other one but for that", () => {
  const page =
    "a [b](https://c.d/e) [f](#g)\n\n![h](docs/i.svg)\n\n| [j](docs/k.md#l) | `m` [n](examples/o.js) |\n";
  expect(forNpm(page)).toBe("a [b](https://c.d/e) [f](#g)\n\n| j (`docs/k.md`) | `m` n |\n");
});

describe("packing", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "redis-session-store-pack-"));
    await mkdir(join(dir, "scripts"));
    await cp(join(root, "scripts/npm-readme.js"), join(dir, "scripts/npm-readme.js"));
    await cp(join(root, "package.json"), join(dir, "package.json"));
  });
  afterAll(() => rm(dir, { recursive: true }));
  beforeEach(() => cp(join(root, "README.md"), join(dir, "README.md")));

  const step = (name: string, command = "pack") =>
    run(process.execPath, [join(dir, "scripts/npm-readme.js"), name], {
      env: { ...process.env, npm_command: command },
    });
  const now = () => readFile(join(dir, "README.md"), "utf8");

  test("puts the README back", async () => {
    await step("prepack");
    expect(await now()).toBe(forNpm(readme));
    await step("postpack");
    expect(await now()).toBe(readme);
  });

  test("of a publication, not before npm has read it", async () => {
    await step("prepack", "publish");
    await step("postpack", "publish");
    expect(await now()).toBe(forNpm(readme));
    await step("postpublish", "publish");
    expect(await now()).toBe(readme);
  });

  test("puts back what one that failed has left", async () => {
    await step("prepack");
    await step("prepack");
    expect(await now()).toBe(forNpm(readme));
    await step("postpack");
    expect(await now()).toBe(readme);
    expect(await readdir(dir)).not.toContain(".README.md.kept");
  });

  test("takes no README along but npm's", async () => {
    await step("prepack");
    const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
    const { stdout } = await run("npm", args, { cwd: dir });
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
    const names = files.map(({ path }) => path).filter((path) => /readme/i.test(path));
    await step("postpack");
    expect(names).toEqual(["README.md"]);
  });

  test("is what npm does", () => {
    for (const name of ["prepack", "postpack", "postpublish"]) {
      expect(manifest.scripts[name]).toContain(`node scripts/npm-readme.js ${name}`);
    }
  });
});

describe("a debugger", () => {
  let packed: Packed;
  beforeAll(async () => {
    packed = await pack();
  });
  afterAll(() => packed?.remove());

  test.each([
    ["an ES module", "app.mjs", 'import { RedisStore } from "redis-session-store";'],
    ["CommonJS", "app.cjs", 'const { RedisStore } = require("redis-session-store");'],
  ])("finds the sources of %s", async (_, name, first) => {
    const text = `${first}\ntry { new RedisStore({}); } catch (error) { console.log(error.stack); }`;
    const at = await packed.app({ [name]: text }, {});
    const { stdout } = await run(process.execPath, ["--enable-source-maps", join(at, name)]);
    expect(stdout).toMatch(/lib\/options\.ts:\d+:\d+/);
    expect(manifest.files).toContain("lib");
  });
});
