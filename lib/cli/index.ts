#!/usr/bin/env node
// The command redis-session-store, as a process runs it.
import { Console } from "./console.js";
import { main } from "./main.js";

const terminal = new Console(process);

main(process.argv.slice(2), terminal).then(
  (code) => terminal.leave(code),
  (error: unknown) => {
    terminal.say(String(error));
    return terminal.leave(4);
  },
);
