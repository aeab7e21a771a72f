import parsePrometheus from "parse-prometheus-text-format";
import { Browser } from "../support/app-folder.js";
import { examplesOf } from "../support/examples.js";
import { until } from "../support/store.js";

const { start, server } = examplesOf("observability");

test("messages: every operation, as a line of JSON with the handle and without the id", async () => {
  const { lines, at } = await start("messages.js");
  const browser = new Browser();
  await browser.get(at);
  await browser.get(at);
  const told = () =>
    lines.flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as object] : []));
  await until(() => told().length >= 3);
  expect(told()).toMatchObject([
    { operation: "set", outcome: "OK", store: "visits" },
    { operation: "get", outcome: "hit", handle: expect.stringMatching(/^h[\w-]{43}$/) },
    { operation: "set", outcome: "OK" },
  ]);
  const sid = /s%3A([\w-]+)/.exec(browser.cookie)?.[1] ?? "none";
  expect(lines.join("\n")).not.toContain(sid);
});

test("metrics: Prometheus can read them", async () => {
  const { lines, at } = await start("metrics.js");
  const browser = new Browser();
  await browser.get(at);
  await browser.get(at);
  const address = lines.find((line) => line.startsWith("metrics on "))?.slice(11) ?? "";
  const response = await fetch(address);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  const text = await response.text();
  const up = parsePrometheus(text).find(({ name }) => name === "redis_session_store_up");
  expect(up?.metrics).toEqual([{ labels: { store: "visits" }, value: "1" }]);
  expect(text).toMatch(
    /^redis_session_store_operation_duration_seconds_count\{store="visits",operation="get",outcome="hit"\} 1$/m,
  );
});

test("opentelemetry: the SDK exports them", async () => {
  const { at } = await start("opentelemetry.js");
  const browser = new Browser();
  await browser.get(at);
  await browser.get(at);
  const exported = JSON.parse(await browser.get(`${at}/exported`)) as { name: string }[];
  const named = (name: string) =>
    exported.find((metric) => metric.name === `redis_session_store.${name}`);
  expect(named("operation.duration")).toMatchObject({
    unit: "s",
    points: expect.arrayContaining([
      {
        attributes: { store: "visits", operation: "get", outcome: "hit" },
        value: expect.objectContaining({ count: 1 }),
      },
    ]),
  });
  expect(named("up")).toMatchObject({ points: [{ attributes: { store: "visits" }, value: 1 }] });
});

test("readiness: red while the store is down, also without traffic, and green again", async () => {
  const { at } = await start("readiness.js");
  const ready = async () => (await fetch(`${at}/ready`)).status;
  await until(async () => (await ready()) === 200);
  server().kill("SIGSTOP");
  try {
    // Nobody has asked for a session, and nobody does.
    expect(await ready()).toBe(503);
    expect(await (await fetch(`${at}/ready`)).text()).toMatch(/^not ready: ERR_/);
    expect((await fetch(`${at}/live`)).status).toBe(200);
  } finally {
    server().kill("SIGCONT");
  }
  await until(async () => (await ready()) === 200);
});

test("why-logged-out: the login page says why", async () => {
  const { at } = await start("why-logged-out.js");
  const [desk, phone, tablet] = [new Browser(), new Browser(), new Browser()];
  const login = (browser: Browser) => browser.post(`${at}/login`, { user: "ada" });
  expect(await desk.get(at)).toContain("<p></p>");
  await login(desk);
  expect(await desk.get(at)).toContain("Hello, ada.");
  await login(phone);
  await phone.post(`${at}/logout-others`);
  expect(await desk.get(at)).toMatch(/You were logged out on another device at \d\d:\d\d\./);
  await login(desk);
  await login(tablet);
  expect(await phone.get(at)).toMatch(/You were logged out at \d\d:\d\d: .* third device/);
  await tablet.post(`${at}/logout`);
  expect(await tablet.get(at)).toMatch(/You logged out at \d\d:\d\d\./);
  await server().command("FLUSHALL");
  expect(await desk.get(at)).toContain("You were away for too long.");
});
