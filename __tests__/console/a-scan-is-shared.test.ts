import { type IncomingMessage, request } from "node:http";
import type { RedisStore } from "../../lib/index.js";
import { ask, formOf, linksTo, openConsole, send } from "../support/console.js";
import { type Server, startServer } from "../support/servers.js";
import { connect, makeStore, sessionOf, type TestClient, until } from "../support/store.js";

let client: TestClient;
let server: Server;
beforeAll(async () => {
  // Its own: a page of a server that others use may be empty.
  server = await startServer();
  client = await connect(6, server.url);
});
afterAll(() => server.stop());
afterEach(async () => {
  jest.restoreAllMocks();
  // The tables of the server too: a step through one that was large finds few sessions.
  await client.sendCommand(["FLUSHALL"]);
});

async function filled(count: number): Promise<RedisStore<TestClient>> {
  const store = makeStore(client);
  await Promise.all(
    Array.from({ length: count }, (_, i) => store.set(`sid ${i}`, sessionOf({ number: i }))),
  );
  return store;
}

/** Counts how many pages are read at a time, and lets each wait for `before`. */
function watched(store: RedisStore<TestClient>, before: () => Promise<unknown> = async () => {}) {
  const counts = { calls: 0, now: 0, most: 0, first: 0 };
  const page = store.page.bind(store);
  jest.spyOn(store, "page").mockImplementation((async (options: { cursor: string | null }) => {
    counts.calls++;
    if (options.cursor === null) counts.first++;
    counts.most = Math.max(counts.most, ++counts.now);
    await before();
    return page(options).finally(() => counts.now--);
  }) as never);
  return counts;
}

const sessionsOn = (body: string) => /<dt>Sessions<\/dt><dd>([^<]*)</.exec(body)?.[1];

test("many who ask at once, and within five seconds after, share one scan", async () => {
  const store = await filled(30);
  const counts = watched(store);
  const { url } = await openConsole(store);
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(url)));
  for (const { body } of answers) {
    expect(sessionsOn(body)).toBe("30");
    expect(body).toContain("This is of all sessions");
  }
  await store.destroy("sid 0");
  expect(sessionsOn((await ask(url)).body)).toBe("30");
  expect(counts.first).toBe(1);
  const now = performance.now();
  jest.spyOn(performance, "now").mockImplementation(() => now + 5001);
  expect(sessionsOn((await ask(url)).body)).toBe("29");
  expect(counts.first).toBe(2);
});

test("of several consoles in a process one reads at a time, lists too", async () => {
  const all = await Promise.all([filled(300), filled(300), filled(300)]);
  let now = 0;
  let most = 0;
  const counts = all.map((store) =>
    watched(store, async () => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 2));
      now--;
    }),
  );
  const consoles = await Promise.all(all.map((store) => openConsole(store)));
  const answers = await Promise.all(
    consoles.flatMap(({ url }) => [
      ask(`${url}?look=longer`),
      ask(`${url}?at=list`),
      ask(`${url}?at=list`),
    ]),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(most).toBe(1);
  // One for the scan, one for the list: who asks for the same page shares it.
  for (const { first } of counts) expect(first).toBe(2);
});

test("a page says how far it looked, and may look for longer", async () => {
  const store = await filled(500);
  let isSlow = true;
  watched(store, () => new Promise((resolve) => setTimeout(resolve, isSlow ? 800 : 0)));
  const { url } = await openConsole(store);
  const { body } = await ask(url);
  const seen = /after 2 s, (\d+) sessions had been looked at/.exec(body)?.[1];
  expect(Number(seen)).toBeGreaterThan(0);
  expect(Number(seen)).toBeLessThan(500);
  expect(sessionsOn(body)).toBe(`${seen} or more`);
  isSlow = false;
  const longer = await ask(`${url}?look=longer`);
  expect(sessionsOn(longer.body)).toBe("500");
});

test("a scan stops when nobody waits for it", async () => {
  const store = await filled(1000);
  const counts = watched(store, () => new Promise((resolve) => setTimeout(resolve, 20)));
  const { url } = await openConsole(store);
  const sent = request(url).on("error", () => {});
  sent.end();
  await until(() => counts.calls === 2);
  sent.destroy();
  // Another one begins from the start, behind the one that stops; of that no further step is made.
  await until(() => counts.now === 0);
  const { body } = await ask(`${url}?at=list`);
  expect(body).toContain("All sessions");
  const before = counts.calls;
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(counts.calls).toBe(before);
  expect(counts.first).toBe(2);
});

test("a scan that fails is an answer, and the next one works", async () => {
  const store = await filled(3);
  const failure = Object.assign(new Error("no"), { name: "StoreError", code: "ERR_TIMEOUT" });
  jest.spyOn(store, "page").mockImplementationOnce(() => Promise.reject(failure) as never);
  const { url } = await openConsole(store);
  expect((await ask(url)).status).toBe(503);
  expect(sessionsOn((await ask(url)).body)).toBe("3");
});

const handlesOn = (body: string) => [...body.matchAll(/<code>([\w-]{12})<\/code>/g)].length;

test("many who ask for the same page of the list at once, or in the second after, share it", async () => {
  const store = await filled(30);
  const counts = watched(store);
  const { url } = await openConsole(store);
  const begun = performance.now();
  const answers = await Promise.all(Array.from({ length: 11 }, () => ask(`${url}?at=list`)));
  // They begin one after the other, so that the app has turns in between.
  expect(performance.now() - begun).toBeGreaterThan(150);
  expect(answers.map(({ body }) => handlesOn(body))).toEqual(answers.map(() => 30));
  expect(counts.first).toBe(1);
  const now = performance.now();
  jest.spyOn(performance, "now").mockImplementation(() => now + 1001);
  await store.destroy("sid 0");
  expect(handlesOn((await ask(`${url}?at=list`)).body)).toBe(29);
  expect(counts.first).toBe(2);
});

test("a page that is shared says to each who they are", async () => {
  const store = await filled(3);
  const authorize = ({ headers }: IncomingMessage) =>
    ({ role: "write", actor: String(headers.actor) }) as const;
  const { url } = await openConsole(store, { authorize });
  for (const page of ["", "?at=list"]) {
    const actors = ["ada", "bob", "ada"];
    const answers = await Promise.all(
      actors.map((actor) => ask(url + page, { headers: { actor } })),
    );
    expect(answers.map(({ body }) => /<footer>(\w+)/.exec(body)?.[1])).toEqual(actors);
  }
});

test("what the console has ended is not on the list that is asked for next", async () => {
  const store = await filled(3);
  const { url } = await openConsole(store);
  const list = await ask(`${url}?at=list`);
  const [link = ""] = linksTo("session", list.body);
  const session = await ask(url + link);
  expect((await send(url, formOf("End this session", session.body))).status).toBe(303);
  expect(handlesOn((await ask(`${url}?at=list`)).body)).toBe(2);
});

test("who leaves while a page is made takes it from nobody else", async () => {
  const store = await filled(3);
  const counts = watched(store, () => new Promise((resolve) => setTimeout(resolve, 50)));
  const { url } = await openConsole(store);
  const sent = request(`${url}?at=list`).on("error", () => {});
  sent.end();
  await until(() => counts.calls === 1);
  sent.destroy();
  expect(handlesOn((await ask(`${url}?at=list`)).body)).toBe(3);
});
