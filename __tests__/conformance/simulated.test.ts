import { MemoryClient } from "../support/memory-client.js";
import { conformance } from "./suite.js";

conformance("the simulated Redis", async () => {
  const client = new MemoryClient();
  const command = (...words: (string | Buffer)[]) => client.sendCommand(words);
  return {
    client,
    command: (_key, ...words) => command(...words),
    everywhere: command,
    close: () => {},
  };
});
