import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(__dirname, "../..");
let copy: string;

beforeEach(() => {
  copy = join(mkdtempSync(join(tmpdir(), "layers-")), "lib");
  cpSync(join(root, "lib"), copy, { recursive: true });
});

afterEach(() => rmSync(resolve(copy, ".."), { recursive: true }));

function check(): { status: number | null; stdout: string } {
  return spawnSync(process.execPath, [join(root, "scripts/layers.js"), copy], { encoding: "utf8" });
}

function add(file: string, line: string): void {
  const path = join(copy, file);
  writeFileSync(path, `${readFileSync(path, "utf8")}\n${line}\n`);
}

test("lib as it is keeps to its layers", () => {
  expect(check()).toMatchObject({ status: 0, stdout: "" });
});

test.each([
  ["base/check.ts", 'import "x";\nexport { merge } from "../session/index.js";', "not below it"],
  ["read/reader.ts", 'export { Saver } from "../save/index.js";', "not below it"],
  ["read/reader.ts", 'export { merge } from "../session/merge.js";', "past session/index.ts"],
  ["session/equal.ts", 'export { merge } from "./merge.js";', "a circle"],
])("%s with %j is found", (file, line, fault) => {
  add(file, line);
  const { status, stdout } = check();
  expect(status).toBe(1);
  expect(stdout).toContain(fault);
});

test("a file that does not say what it is for is found", () => {
  writeFileSync(join(copy, "base/nameless.ts"), "export const one = 1;\n");
  expect(check().stdout).toContain("base/nameless.ts: begins without a sentence");
});
