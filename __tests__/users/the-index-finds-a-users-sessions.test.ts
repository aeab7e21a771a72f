import { plain, singles } from "../conformance/clients.js";
import { type Server, startServer } from "../support/servers.js";
import { userIndexSuite } from "../support/user-index-suite.js";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

const ways = [
  ...plain,
  ...singles.filter(({ name }) =>
    /pool with keyPrefix|^redis 6 with (keyPrefix|RESP2)|ioredis 6 with keyPrefix/.test(name),
  ),
];

describe.each(ways)("on one server", ({ name, open, keyPrefix = "" }) => {
  userIndexSuite(name, async () => ({
    ...(await open(server)),
    keyPrefix,
    command: (_key, ...command) => server.command(...command),
    everywhere: async (...command) => [await server.command(...command)],
  }));
});
