import { lockfile, takesNode } from "../../scripts/lockfile.js";

test("npm ci has no reason to warn of an engine", async () => {
  await expect(lockfile()).resolves.toBeUndefined();
});

test.each([
  [">=20", true],
  [">= 0.8", true],
  ["*", true],
  ["", true],
  ["20 || >=22", true],
  ["^18.14.0 || ^20.0.0 || >=22", true],
  [">=10 <23", true],
  [">=18.0.0", true],
  [">=22", false],
  ["^22.0.0 || >=24", false],
  [">=6 <19", false],
  ["^18.0.0", false],
])("Node 20 suits %p: %p", (range, suits) => {
  expect(takesNode(20, range)).toBe(suits);
});
