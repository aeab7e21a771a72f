import { singles } from "../conformance/clients.js";
import { type Server, startServer } from "../support/servers.js";
import { makeStore, refusal, sessionOf } from "../support/store.js";

// A question without an answer does not mean that the server is down, where later ones have theirs.

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

// Over one connection nothing is answered behind a question that is held back.
const pools = singles.filter(({ name }) => name.includes("pool"));

test.each(pools)("$name: writes are held back while reads are answered", async ({ open }) => {
  const opened = await open({ port: server.port });
  const store = makeStore(opened.client, { timeout: 300 });
  const seen: string[] = [];
  store.on("down", () => seen.push("down"));
  await store.get("sid");
  await server.command("CLIENT", "PAUSE", "60000", "WRITE");
  try {
    let isOpen = true;
    const written = refusal(store.set("sid", sessionOf())).finally(() => {
      isOpen = false;
    });
    while (isOpen) expect(await store.get("other")).toBeNull();
    expect((await written).code).toBe("ERR_TIMEOUT");
    expect(await store.get("other")).toBeNull();
    expect(seen).toEqual([]);
  } finally {
    await server.command("CLIENT", "UNPAUSE");
    await opened.close();
  }
});
