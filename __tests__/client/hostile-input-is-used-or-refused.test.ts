import { RedisStore } from "../../lib/index.js";
import { fuzzInput, randomOf } from "../../scripts/fuzz-input.js";
import { connect } from "../support/store.js";

// A short run of scripts/fuzz-input.js, which takes a seed and as long as one likes.

test("random options, session ids, stored values and cookies are used or refused, and nothing else happens", async () => {
  const client = await connect();
  const seed = Math.floor(Math.random() * 2 ** 31);
  const outcomes = await fuzzInput({ RedisStore, client, seed, goesOn: (round) => round < 600 });
  expect(outcomes).toMatchObject({
    "options: ERR_INVALID_OPTION": expect.any(Number),
    "sid: ok": expect.any(Number),
    "sid: ERR_INVALID_SID": expect.any(Number),
    "stored value: ok": expect.any(Number),
    "stored value: ERR_CORRUPT_SESSION": expect.any(Number),
    "request with it: 200": expect.any(Number),
    "cookie: 200": expect.any(Number),
  });
});

test("a seed repeats what came", () => {
  const numbers = () => Array.from({ length: 5 }, randomOf(7));
  expect(numbers()).toEqual(numbers());
});

test("a stored cookie that express-session cannot take is a corrupt session, and the response ends", async () => {
  const client = await connect();
  const store = new RedisStore({ client, prefix: "test:input:" });
  for (const cookie of [{ originalMaxAge: {} }, { originalMaxAge: "soon" }, { maxAge: [1] }]) {
    await client.sendCommand(["SET", "test:input:sid", JSON.stringify({ cookie })]);
    await expect(store.get("sid")).rejects.toMatchObject({ code: "ERR_CORRUPT_SESSION" });
  }
  await client.sendCommand(["SET", "test:input:sid", '{"cookie":{"originalMaxAge":null}}']);
  expect(await store.get("sid")).not.toBeNull();
  await store.destroy("sid");
});
