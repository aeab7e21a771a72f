import { RedisStore } from "../../lib/index.js";
import { fuzzInput, randomOf } from "../../scripts/fuzz-input.js";
import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { connect } from "../support/store.js";

// A short run of scripts/fuzz-input.js, which takes a seed and as long as one likes.

/** What a run that fails, or does not end, has to say. */
let unfinished: string | undefined;
afterEach(() => {
  if (unfinished !== undefined) process.stderr.write(`${unfinished}\n`);
  unfinished = undefined;
});

// It lists all sessions again and again, and a listing goes through the keys of everybody else as well.
let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

test("random options, session ids, stored values and cookies are used or refused, and nothing else happens", async () => {
  const client = await connect(6, server.url);
  const seed = Math.floor(Math.random() * 2 ** 31);
  const outcomes = await fuzzInput({
    RedisStore,
    client,
    seed,
    goesOn(round) {
      unfinished = `round ${round}: npm run fuzz:input -- --seed ${seed}`;
      return round < 600;
    },
  });
  expect(outcomes).toMatchObject({
    "options: ERR_INVALID_OPTION": expect.any(Number),
    "sid: ok": expect.any(Number),
    "sid: ERR_INVALID_SID": expect.any(Number),
    "stored value: ok": expect.any(Number),
    "stored value: ERR_CORRUPT_SESSION": expect.any(Number),
    "request with it: 200": expect.any(Number),
    "cookie: 200": expect.any(Number),
  });
  unfinished = undefined;
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
