import { connect, makeStore, type TestClient } from "../support/store.js";

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

// Made with: printf '\0\0\0\032redis-session-store handle\0\0\0\05sess:\0\0\0\03abc' | openssl dgst -sha256 -binary | basenc --base64url
test("a handle is what it always was", () => {
  expect(makeStore(client, { prefix: "sess:" }).handleOf("abc")).toBe(
    "hxDd3nDh8Vpp6ch4eICuJSnMEU1fWisklL1g5H0eN6Lc",
  );
});

test("a handle tells sessions apart, and prefixes, wherever the one ends and the other begins", () => {
  const handles = [
    ["a:", "bc"],
    ["a:b", "c"],
    ["a:", "bd"],
    ["", "a:bc"],
    ["a:", "ü"],
  ].map(([prefix = "", sid = ""]) => makeStore(client, { prefix }).handleOf(sid));
  expect(new Set(handles).size).toBe(handles.length);
  for (const handle of handles) expect(handle).toMatch(/^h[\w-]{43}$/);
});

test.each([undefined, null, "", 7, "\ud800"])(
  "nothing but a session id has a handle: %p",
  (sid) => {
    expect(() => makeStore(client).handleOf(sid as string)).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_SID" }),
    );
  },
);
