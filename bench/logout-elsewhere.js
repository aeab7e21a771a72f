import { RedisStore } from "redis-session-store";
import { connect } from "./contenders.js";
import { serve } from "./processes.js";

/** The server on which users log out. */

const [url] = /** @type {[string]} */ (process.argv.slice(2));
const store = new RedisStore({ client: await connect(url), prefix: "logout:" });

serve(async (/** @type {{ sid: string }} */ { sid }) => {
  const removed = await store.destroy(sid);
  const acknowledged = process.hrtime.bigint() / 1000n;
  if (removed !== 1) throw new Error("there was no session to destroy");
  return String(acknowledged);
});
