import request from "supertest";
import { WebSocket } from "ws";
import { examplesOf } from "../support/examples.js";
import { connect, makeStore, until } from "../support/store.js";

const { start, server } = examplesOf("users");

test("token-login: a token is good until the logout, or the next login", async () => {
  const { at } = await start("token-login.js");
  const login = async (password: string) =>
    request(at).post("/login").send({ user: "ada", password });
  const get = (token: string) =>
    request(at).get("/protected").set("Authorization", `Bearer ${token}`);

  expect((await login("wrong")).status).toBe(401);
  expect((await request(at).get("/protected")).status).toBe(401);
  const answer = await login("lovelace");
  expect(answer.headers["cache-control"]).toBe("no-store");
  const { token } = answer.body as { token: string };
  expect((await get(token)).body).toEqual({ user: "ada" });
  expect((await get(`${token}x`)).status).toBe(401);

  const second = ((await login("lovelace")).body as { token: string }).token;
  expect((await get(token)).status).toBe(401);
  expect((await get(second)).status).toBe(200);

  await request(at).post("/logout").set("Authorization", `Bearer ${second}`).expect(200);
  expect((await get(second)).status).toBe(401);
});

test("your-devices: each session of the user has a button that ends it", async () => {
  const { at } = await start("your-devices.js");
  const device = (name: string) => request.agent(at).set("User-Agent", name);
  const [laptop, phone, tablet, other] = ["laptop", "phone", "<tablet>", "other"].map(device);
  for (const agent of [laptop, phone, tablet]) {
    await agent?.post("/login").type("form").send({ user: "ada" }).expect(302);
  }
  await other?.post("/login").type("form").send({ user: "eve" }).expect(302);
  const page = async (agent = laptop) => (await agent?.get("/"))?.text ?? "";

  const shown = await page();
  expect(shown).toContain("Devices of ada");
  expect(shown.match(/<td>(?:laptop|phone|&#60;tablet&#62;)<\/td>/g)).toHaveLength(3);
  expect(shown).not.toContain("<td>other");
  const [, button] = /<td>phone<\/td>.*?value="([\w-]+)"/.exec(shown) ?? [];
  // No page shows a session id.
  const keys = (await server().command("KEYS", "sess:*")) as string[];
  for (const key of keys) expect(shown).not.toContain(key.slice("sess:".length));
  // Only the user can press it.
  await other?.post("/revoke").type("form").send({ device: button });
  expect(await page(phone)).toContain("Devices of ada");
  await laptop?.post("/revoke").type("form").send({ device: button });
  expect(await page(phone)).toContain("Log in");
  expect(await page()).not.toContain("phone");
  expect(await page(tablet)).toContain("Devices of ada");

  await laptop?.post("/revoke-others");
  expect(await page(tablet)).toContain("Log in");
  expect(await page()).toContain("this device");
  expect(await page(other)).toContain("Devices of eve");
});

test("websocket-chat: it ends when the session is revoked", async () => {
  const { at } = await start("websocket-chat.js");
  const login = async (user: string) => {
    const { body, headers } = await request(at).post(`/login/${user}`);
    expect(headers["cache-control"]).toBe("no-store");
    return (body as { token: string }).token;
  };
  const open = async (headers: Record<string, string>) => {
    const socket = new WebSocket(at.replace("http", "ws"), { headers });
    const log: string[] = [];
    socket.on("open", () => log.push("open"));
    socket.on("error", (error) => log.push(error.message));
    socket.on("message", (data) => log.push(String(data as Buffer)));
    socket.on("close", (code) => log.push(`closed ${code}`));
    await until(() => log.length > 0);
    return { log, socket };
  };
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

  const [ada, bob] = [await login("ada"), await login("bob")];
  const first = await open(bearer(ada));
  const cookie = `connect.sid=${encodeURIComponent(`s:${bob}`)}`;
  const second = await open({ Cookie: cookie, Origin: at });
  second.socket.send("hello");
  await until(() => first.log.length > 1 && second.log.length > 1);
  expect([first.log, second.log]).toEqual([
    ["open", "bob: hello"],
    ["open", "bob: hello"],
  ]);
  for (const headers of [
    {},
    bearer("x.y"),
    // From a page of somebody else, and from no page at all: a cookie opens nothing.
    { Cookie: cookie, Origin: "http://evil.example" },
    { Cookie: cookie, Origin: "null" },
    { Cookie: cookie },
    { ...bearer(bob), Origin: "http://evil.example" },
  ]) {
    expect((await open(headers)).log[0]).toContain("401");
  }

  await request(at).post("/logout-everywhere").set(bearer(ada)).expect(200, { ended: 1 });
  await until(() => first.log.length > 2);
  expect(first.log.at(-1)).toBe("closed 4001");
  expect(second.log).toHaveLength(2);
  // An administrator, or any other program, ends it just as well.
  const before = (await server().command("KEYS", "sess:*")) as string[];
  const third = await open(bearer(await login("eve")));
  const after = (await server().command("KEYS", "sess:*")) as string[];
  await server().command("DEL", ...after.filter((key) => !before.includes(key)));
  await until(() => third.log.length > 1);
  expect(third.log).toEqual(["open", "closed 4001"]);
  second.socket.terminate();
});

test("monitor: every event is printed", async () => {
  const { lines } = await start("monitor.js", /./);
  expect(lines).toEqual(["watching"]);
  const key = "sess:0123456789abcdef";
  await server().command("SET", key, "{}", "PX", "100000");
  await server().command("SET", key, "{}", "PX", "100000");
  await server().command("PEXPIRE", key, "200000");
  await server().command("DEL", key);
  await server().command("SET", key, "{}", "PX", "1");
  await until(async () => (await server().command("GET", key)) === null);
  await until(() => lines.length === 7);
  // Not the session id, nor any part of it.
  const handle = makeStore(await connect(), { prefix: "sess:" }).handleOf("0123456789abcdef");
  expect(lines.slice(1)).toEqual(
    ["created", "updated", "touched", "destroyed", "created", "expired"].map(
      (event) => `${event} ${handle}`,
    ),
  );
});
