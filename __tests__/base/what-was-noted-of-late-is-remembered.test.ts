import { Recent } from "../../lib/base/index.js";

test("the newest half is remembered, and never more than the most", () => {
  const recent = new Recent<number, string>(10);
  for (let noted = 0; noted < 100; noted++) {
    recent.set(noted, `item ${noted}`);
    const known = Array.from({ length: noted + 1 }, (_, key) => recent.get(key) !== undefined);
    const expected = Math.min(noted + 1, 5);
    expect(known.slice(-expected)).toEqual(Array(expected).fill(true));
    expect(known.filter(Boolean).length).toBeLessThanOrEqual(10);
  }
});

test("what is noted again counts as it was noted last, and all is forgotten at once", () => {
  const recent = new Recent<string, number>(4);
  recent.set("a", 1);
  recent.set("b", 1);
  // By now both are among the older ones.
  recent.set("a", 2);
  expect(recent.get("a")).toBe(2);
  expect(recent.get("b")).toBe(1);
  recent.set("c", 1);
  recent.clear();
  expect([recent.get("b"), recent.get("c")]).toEqual([undefined, undefined]);
});
