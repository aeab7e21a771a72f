import { RedisStore } from "../../lib/index.js";
import { type Server, startServer } from "../support/servers.js";
import { limit, USER } from "./acl.js";
import { plain } from "./clients.js";
import { conformance, OWN } from "./suite.js";

let server: Server;
beforeAll(async () => {
  server = await startServer();
  await limit([server]);
});
afterAll(() => server?.stop());

describe.each(plain)("a limited user: $name", ({ open }) => {
  conformance("conforms", async () => ({
    ...(await open({ port: server.port, ...USER })),
    command: (_key, ...command) => server.command(...command),
    everywhere: (...command) => server.command(...command),
  }));

  test("is told which command or key is out of bounds", async () => {
    const opened = await open({ port: server.port, ...USER });
    try {
      const own = new RedisStore({ client: opened.client, prefix: OWN });
      const foreign = new RedisStore({ client: opened.client, prefix: "foreign:" });
      const refusal = { code: "ERR_NO_PERMISSION" };
      await expect(foreign.get("sid")).rejects.toMatchObject(refusal);
      await server.command("ACL", "SETUSER", USER.username, "-scan");
      await expect(own.length()).rejects.toMatchObject(refusal);
    } finally {
      await limit([server]);
      await opened.close();
    }
  });
});
