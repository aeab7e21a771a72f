import { type Server, startServer } from "../support/servers.js";
import { startTls, type TlsServer } from "../support/tls.js";
import { plain } from "./clients.js";
import { conformance } from "./suite.js";

let server: Server;
let tls: TlsServer;
beforeAll(async () => {
  server = await startServer();
  tls = await startTls(server.port);
});
afterAll(async () => {
  await tls?.close();
  await server?.stop();
});

describe.each(plain)("TLS: $name", ({ open }) => {
  let before: number;
  conformance("conforms", async () => {
    before = tls.connections();
    return {
      ...(await open({ port: tls.port, ca: tls.ca })),
      command: (_key, ...command) => server.command(...command),
      everywhere: (...command) => server.command(...command),
    };
  });

  test("was encrypted", () => {
    expect(tls.connections()).toBeGreaterThan(before);
  });
});
