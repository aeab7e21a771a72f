// The part "doctor": is this Redis fit for sessions.
import { census } from "./census.js";
import type { Connection } from "./connect.js";
import type { Colour, Console } from "./console.js";
import type { Finding, Verdict } from "./finding.js";
import type { Part } from "./part.js";
import { practice } from "./practice.js";
import { server } from "./server.js";
import { escaped } from "./text.js";

const COLOURS: Record<Verdict, Colour> = {
  fine: "green",
  doubtful: "yellow",
  broken: "red",
  unknown: "dim",
};

/** Checks the servers, what the store does on them, and the sessions. */
export const doctor: Part = async (connection, { json }, terminal) => {
  terminal.say(`looking at ${escaped(connection.address)}`);
  let count = 0;
  const tell = async (finding: Finding): Promise<void> => {
    if (finding.verdict === "doubtful" || finding.verdict === "broken") count++;
    await terminal.put(json ? JSON.stringify(finding) : asLine(finding, terminal));
  };
  for await (const finding of findings(connection, terminal)) await tell(finding);
  if (!json) terminal.say(count === 0 ? "nothing found" : `${count} to look at`);
  return count === 0 ? 0 : 1;
};

/** Everything that is looked at; of a Redis that gives no answer no more than that. */
async function* findings(connection: Connection, terminal: Console): AsyncGenerator<Finding> {
  const { servers } = connection;
  try {
    for (const one of servers) {
      for await (const finding of server(one)) {
        const check = servers.length > 1 ? `${finding.check} of ${one.address}` : finding.check;
        yield { ...finding, check };
      }
    }
    yield* practice(connection);
    yield* census(connection, terminal);
  } catch (error) {
    const advice = "it was there before: see whether it is stopped, busy with one command, or gone";
    yield { verdict: "broken", check: "answers", says: (error as Error).message, advice };
  }
}

function asLine({ verdict, check, says, advice }: Finding, terminal: Console): string {
  const line = `${terminal.paint(COLOURS[verdict], verdict.padEnd(8))} ${check}: ${escaped(says)}`;
  return advice === undefined ? line : `${line}; ${advice}`;
}
