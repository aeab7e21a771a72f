import { startServer } from "../support/servers.js";
import { connect, makeStore, sessionOf, type TestClient } from "../support/store.js";

let client: TestClient;
beforeAll(async () => {
  client = await connect();
});

const userId = (session: object) => (session as { user?: string }).user;

describe("destroyAllOf ends nothing where its options are wrong", () => {
  test.each([
    ["a name that does not exist", { exept: "a" }, /"exept" \(did you mean "except"\?\)/],
    ["except: undefined", { except: undefined }, /"except".*got undefined.*leave it out/],
    ["except: null", { except: null }, /"except".*got null/],
    ["an empty session id", { except: "" }, /"except"/],
    ["a number", { except: 7 }, /"except".*got 7/],
    ["a list with a hole", { except: ["a", undefined] }, /"except".*got an array/],
    ["the session id itself", "a", /object of options.*except/],
    ["null", null, /object of options.*got null/],
    ["a list", ["a"], /object of options.*got an array/],
  ])("%s", async (_, options, wanted) => {
    const store = makeStore(client, { userId });
    await store.set("a", sessionOf({ user: "ada" }));
    await store.set("b", sessionOf({ user: "ada" }));
    const refusal = { code: "ERR_INVALID_OPTION", message: expect.stringMatching(wanted) };
    await expect(store.destroyAllOf("ada", options as never)).rejects.toMatchObject(refusal);
    const called = new Promise((resolve) =>
      store.destroyAllOf("ada", options as never, (error) => resolve(error)),
    );
    expect(await called).toMatchObject(refusal);
    expect((await store.ids()).sort()).toEqual(["a", "b"]);
  });

  test("options that are left out mean all sessions", async () => {
    const store = makeStore(client, { userId });
    for (const options of [{}, undefined]) {
      await store.set("a", sessionOf({ user: "ada" }));
      expect(await store.destroyAllOf("ada", options)).toBe(1);
    }
  });
});

describe("after close()", () => {
  test("watch() opens nothing that nobody would close", async () => {
    const server = await startServer();
    try {
      const own = await connect(6, server.url);
      const connections = async () => String(await server.command("CLIENT", "LIST")).split("\n");
      const store = makeStore(own);
      const before = (await connections()).length;
      store.close();
      await expect(store.watch()).rejects.toMatchObject({ code: "ERR_CLOSED" });
      expect(await connections()).toHaveLength(before);
    } finally {
      await server.stop();
    }
  });

  test("a watch() that was under way ends with it", async () => {
    const store = makeStore(client);
    const watching = store.watch();
    store.close();
    await expect(watching).rejects.toMatchObject({ code: "ERR_CLOSED" });
  });

  test("sessions are read and written as before, and a second close() is nothing", async () => {
    const store = makeStore(client, { userId });
    store.close();
    store.close();
    expect(await store.set("sid", sessionOf({ user: "ada" }))).toBe("OK");
    expect(await store.get("sid")).not.toBeNull();
    expect(await store.touch("sid", sessionOf())).toBe("OK");
    expect(await store.length()).toBe(1);
    expect(await store.destroyAllOf("ada")).toBe(1);
  });
});
