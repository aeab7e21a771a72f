import { type Server, startServer } from "../support/servers.js";
import { singles } from "./clients.js";
import { conformance } from "./suite.js";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

describe.each(singles)("one server: $name", ({ open, keyPrefix = "" }) => {
  conformance("conforms", async () => ({
    ...(await open(server)),
    keyPrefix,
    command: (_key, ...command) => server.command(...command),
    everywhere: (...command) => server.command(...command),
  }));
});
