import { inspect } from "node:util";
import { connect, makeStore, refusal, sessionOf, type TestClient } from "../support/store.js";

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

const circle: Record<string, unknown> = { secret: "swordfish" };
circle.self = circle;
let deep: unknown = "swordfish";
for (let level = 0; level < 20_000; level++) deep = [deep];

test.each<[string, Record<string, unknown>, RegExp]>([
  ["a BigInt", { ok: 1, total: [{ swordfish: 7n }] }, /its key "total" holds a BigInt.*text/],
  ["a circle", { ok: 1, cart: circle }, /its key "cart" holds an object that holds itself/],
  // Newer versions of Node write any depth, but not where there is a toJSON().
  [
    "no end of nesting",
    { ok: 1, tree: { toJSON: () => deep } },
    /its key "tree" is too large, or nested too deeply/,
  ],
  [
    "a toJSON that throws",
    {
      when: {
        toJSON() {
          throw new Error("no");
        },
      },
    },
    /its key "when" has a toJSON\(\) or a getter that throws/,
  ],
  ["a long name", { ["x".repeat(5000)]: 7n }, /its key "x{40}…" holds a BigInt/],
])("a session with %s: which key it is, and nothing of what it holds", async (_, data, why) => {
  const store = makeStore(client);
  const error = await refusal(store.set("sid", sessionOf(data)));
  expect(error).toMatchObject({ code: "ERR_INVALID_SESSION", message: expect.stringMatching(why) });
  expect(error.message).toMatch(/the session cannot be serialized: .*; nothing was stored$/);
  expect(error.message).not.toContain("swordfish");
  expect(error.message.length).toBeLessThan(250);
  expect(inspect(error.cause)).not.toContain("swordfish");
  expect(await store.get("sid")).toBeNull();
});

test("a serializer of the app that throws is named as that", async () => {
  const serializer = {
    parse: JSON.parse,
    stringify: (): string => {
      throw new Error("out of order");
    },
  };
  const error = await refusal(makeStore(client, { serializer }).set("sid", sessionOf()));
  expect(error.message).toContain("serializer.stringify threw");
  expect((error.cause as Error).message).toBe("out of order");
});
