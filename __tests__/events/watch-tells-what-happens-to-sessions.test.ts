import { plain, singles } from "../conformance/clients.js";
import { type Server, startServer } from "../support/servers.js";
import { watchSuite } from "../support/watch-suite.js";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server?.stop());

const ways = [...plain, ...singles.filter(({ name }) => !name.includes("glide"))].filter(
  ({ name }, index, all) =>
    !name.includes("glide") && all.findIndex((way) => way.name === name) === index,
);

describe.each(ways)("on one server", ({ name, open, keyPrefix = "" }) => {
  watchSuite(name, async () => ({
    ...(await open(server)),
    keyPrefix,
    command: (_key, ...command) => server.command(...command),
    everywhere: async (...command) => [await server.command(...command)],
  }));
});
