import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import { createClient } from "redis";
import { RedisStore } from "redis-session-store";
import { type AuditEntry, type ConsoleHandler, sessionConsole } from "redis-session-store/console";

interface Request extends IncomingMessage {
  readonly admin?: string;
}

const store = new RedisStore({ client: createClient() });
const heard: AuditEntry[] = [];
const show: ConsoleHandler<Request> = sessionConsole({
  store,
  authorize: async ({ admin }: Request) => (admin ? { role: "write", actor: admin } : null),
  audit: (entry) => heard.push(entry),
  reveal: (path, value, actor) => path[0] === "cart" && typeof value === "number" && actor === "x",
});
createServer((req, res) => show(req, res)).close();
// @ts-expect-error a writer has a name
sessionConsole({ store, authorize: () => ({ role: "write" }) });
assert.throws(
  // @ts-expect-error it is not known who may
  () => sessionConsole({ store }),
  { code: "ERR_INVALID_OPTION" },
);
store.close();
