import { createPort, lateAnswerOf, type Port, wasSent } from "../../lib/client/index.js";
import { clusters, type Opened, plain, singles, type Way } from "../conformance/clients.js";
import { type Cluster, type Server, startCluster, startServer } from "../support/servers.js";
import { freshPrefix, newClient, refusal, until } from "../support/store.js";

// A command that has failed: whether it may have happened, and what Redis says of it in the end.

const timeout = 250;

function portOf(opened: Pick<Opened, "client">): Port {
  return createPort(opened.client, false, timeout, () => {});
}

/** Writes are held back until `resume`; what else is asked is answered. */
const pauseWrites = (server: Server) => server.command("CLIENT", "PAUSE", "60000", "WRITE");
const resume = (server: Server) => server.command("CLIENT", "UNPAUSE");
/** Ends all connections but the test's own; the commands that they wait for are forgotten. */
const cut = (server: Server) => server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");

async function expectGivenUp(operation: Promise<unknown>): Promise<Error & { code: string }> {
  const error = await refusal(operation);
  expect(error.code).toBe("ERR_TIMEOUT");
  expect(wasSent(error)).toBe(true);
  return error;
}

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

describe.each(plain)("$name", ({ open }) => {
  let opened: Opened;
  let port: Port;
  let key: string;
  beforeEach(async () => {
    opened = await open({ port: server.port });
    port = portOf(opened);
    key = `${freshPrefix()}sid`;
    await port.get(key);
  });
  afterEach(async () => {
    await resume(server);
    await opened.close();
  });

  test("an answer that comes late is heard", async () => {
    await pauseWrites(server);
    const written = await expectGivenUp(port.set(key, "1", null));
    await resume(server);
    expect(await lateAnswerOf(written)).toEqual({ status: "fulfilled", value: "OK" });
    expect(await port.get(key)).toBe("1");
  });

  test("a refusal that comes late proves that nothing happened", async () => {
    await server.command("RPUSH", key, "no string");
    await pauseWrites(server);
    const renewed = await expectGivenUp(
      port.run(
        { source: `return redis.call("APPEND", KEYS[1], "x")`, sha: "0".repeat(40) },
        key,
        [],
      ),
    );
    await resume(server);
    const answer = await lateAnswerOf(renewed);
    expect(answer).toMatchObject({ status: "rejected", reason: { name: "StoreError" } });
    expect(wasSent((answer as PromiseRejectedResult).reason)).toBe(false);
  });

  test("what the server refuses has not happened", async () => {
    await server.command("RPUSH", key, "no string");
    const error = await refusal(port.get(key));
    expect(error.code).toBe("ERR_CORRUPT_SESSION");
    expect(wasSent(error)).toBe(false);
    expect(lateAnswerOf(error)).toBeUndefined();
  });

  test("what is refused while the server is down was not sent", async () => {
    const down = new Promise((resolve) => {
      port = createPort(opened.client, false, timeout, resolve);
    });
    server.kill("SIGSTOP");
    try {
      const first = await expectGivenUp(port.set(key, "1", null));
      expect(await down).toBe(true);
      const error = await refusal(port.set(key, "2", null));
      expect(error.code).toBe("ERR_UNAVAILABLE");
      expect(wasSent(error)).toBe(false);
      expect(lateAnswerOf(error)).toBeUndefined();
      server.kill("SIGCONT");
      expect(await lateAnswerOf(first)).toEqual({ status: "fulfilled", value: "OK" });
    } finally {
      server.kill("SIGCONT");
    }
  });
});

test.each([4, 5, 6] as const)(
  "redis %i: what waited in vain for a connection was not sent",
  async (version) => {
    const { client, close } = newClient(version, { url: server.url });
    const error = await refusal(portOf({ client }).set("sid", "1", null));
    expect(error.code).toBe("ERR_UNAVAILABLE");
    expect(wasSent(error)).toBe(false);
    expect(lateAnswerOf(error)).toBeUndefined();
    close();
  },
);

test.each([4, 5, 6] as const)(
  "redis %i: what still lies with the client at its deadline is never written",
  async (version) => {
    const { client, close } = newClient(version, { url: server.url });
    await client.connect();
    const port = portOf({ client });
    const key = `${freshPrefix()}sid`;
    expect(await port.set(key, "1", null)).toBe(true);
    server.kill("SIGSTOP");
    try {
      // More than the system takes of what a server does not read: what follows it in the same turn waits.
      const before = client.sendCommand(["SET", `${key}2`, "x".repeat(64_000_000)]);
      before.catch(() => {});
      const error = await refusal(port.set(key, "2", null));
      expect(error.code).toBe("ERR_TIMEOUT");
      server.kill("SIGCONT");
      await before;
      expect(await client.sendCommand(["ECHO", "after"])).toBe("after");
      expect(await server.command("GET", key)).toBe("1");
    } finally {
      server.kill("SIGCONT");
      await server.command("DEL", `${key}2`);
      close();
    }
  },
);

/** What the client does with a write that was given up, when it has another connection. */
function givenUpForGood(
  ways: readonly Way<never>[],
  open: (way: Way<never>) => Promise<Opened>,
  serverOf: (key: string) => Promise<Server>,
) {
  test.each(ways)("$name: a write that was given up is not sent again", async (way) => {
    const opened = await open(way);
    const port = portOf(opened);
    const key = `${freshPrefix()}sid`;
    const whole = `${way.keyPrefix ?? ""}${key}`;
    // A client that has just been opened may still look for its servers.
    await until(() =>
      port.get(key).then(
        (value) => value === null,
        () => false,
      ),
    );
    const holder = await serverOf(whole);
    await pauseWrites(holder);
    try {
      const error = await expectGivenUp(port.set(key, "1", null));
      await cut(holder);
      await resume(holder);
      const marker = `${key}2`.replace(key, `{${whole}}`);
      await until(async () => (await port.set(marker, "2", null).catch(() => false)) === true);
      // What the client had to send again, it has sent before.
      const answer = await lateAnswerOf(error);
      expect(await holder.command("EXISTS", whole)).toBe(0);
      // It may have happened all the same, on the first connection.
      expect(answer?.status).toBe("rejected");
      expect(wasSent((answer as PromiseRejectedResult).reason)).toBe(true);
    } finally {
      await resume(holder);
      await opened.close();
    }
  });
}

describe("on one server,", () => {
  givenUpForGood(
    singles as readonly Way<never>[],
    (way) => way.open({ port: server.port } as never),
    async () => server,
  );
});

describe("in a cluster,", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await startCluster();
  });
  afterAll(() => cluster.stop());

  givenUpForGood(
    // That client leaves a connection open when it is closed after a cut.
    clusters.filter(({ name }) => name !== "redis 4 with useReplicas") as readonly Way<never>[],
    (way) => way.open(cluster.nodes.map(({ port }) => ({ port })) as never),
    async (key) => cluster.ownerOf(await cluster.slotOf(key)),
  );
});
