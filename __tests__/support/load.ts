import { once } from "node:events";
import { Agent, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { RequestHandler } from "express";
import type { CookieOptions } from "express-session";
import type { RedisStore } from "../../lib/index.js";
import { loopTime } from "./loop-time.js";
import { type AppSession, makeApp, until } from "./store.js";

/** What became of the requests of a load. */
export interface LoadReport {
  readonly sent: number;
  /** With a session: what they wrote is acknowledged. */
  readonly answered: number;
  /** Without a session, by `whenDown: "bypass"`. */
  readonly bypassed: number;
  /** The others, by the code of the error that the app saw. */
  readonly failed: Readonly<Record<string, number>>;
  /** Users whom the app did not recognise any more. */
  readonly loggedOut: number;
  /** In ms in which the process could work: `loopTime`. */
  readonly slowest: number;
}

/** Ends what a test that failed has left running. */
const running = new Set<() => unknown>();
afterEach(async () => {
  await Promise.all(Array.from(running, (end) => end()));
});

/** Requests to a real Express app, from users who do not stop. */
export interface Load {
  /** How it stands. */
  report(): LoadReport;
  /** Waits until so many more requests than now have been answered. */
  answers(more: number): Promise<void>;
  /** Waits until each user has been answered once more. */
  everyone(): Promise<void>;
  /** Waits until so many more requests than now have failed with this code, or `"any"`, or been `"bypassed"`. */
  failures(code: string, more: number): Promise<void>;
  /** Ends it when all requests have been answered. */
  stop(): Promise<LoadReport>;
  /** The changes that have been acknowledged so far. */
  acknowledged(): string[];
  /** Acknowledged changes that `store` does not have. */
  lost(store: RedisStore): Promise<string[]>;
  /** The users, by session id, and how many requests of each have failed. */
  users(): { sid: string; failures: number }[];
}

/** After this what is not well again will not be, in ms of `loopTime`. */
const PATIENCE = 15_000;

interface User {
  readonly acknowledged: Set<string>;
  cookie: string | undefined;
  sid: string | undefined;
  failures: number;
}

/** Changes the session and answers only when that is in Redis. */
const change: RequestHandler = (req, res, next) => {
  const session = req.session as unknown as AppSession | undefined;
  if (session === undefined) {
    res.json({ bypassed: true });
    return;
  }
  session[String(req.params.name)] = 1;
  req.session.save(((error: unknown, result?: unknown) => {
    if (error) next(error);
    else res.status(result === "GONE" ? 410 : 200).json({ sid: req.sessionID });
  }) as (error: unknown) => void);
};

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly cookie: string | undefined;
}

function ask(agent: Agent, port: number, path: string, cookie: string | undefined) {
  return new Promise<Answer>((resolve, reject) => {
    const headers = cookie === undefined ? {} : { cookie };
    const request = get(
      { agent, host: "127.0.0.1", port, path, headers },
      (res: IncomingMessage) => {
        let body = "";
        res.setEncoding("utf8");
        res.on("data", (text: string) => {
          body += text;
        });
        res.on("end", () => {
          const [fresh] = res.headers["set-cookie"] ?? [];
          resolve({ status: res.statusCode ?? 0, body, cookie: fresh?.split(";")[0] });
        });
        res.on("error", reject);
      },
    );
    request.on("error", (error: NodeJS.ErrnoException) => {
      // Express closes a connection when the end of its response fails, and this request was late.
      if (request.reusedSocket && error.code === "ECONNRESET") {
        ask(agent, port, path, cookie).then(resolve, reject);
      } else reject(error);
    });
  });
}

/**
 * Starts users who change their sessions again and again, each with requests in parallel, and
 * returns when each of them has a session.
 */
export async function startLoad(
  store: RedisStore,
  { users: count = 4, parallel = 2, pause = 10, cookie = {} as CookieOptions } = {},
): Promise<Load> {
  const app = makeApp(store, { "/change/:name": change }, { cookie });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  const failed: Record<string, number> = {};
  const totals = { sent: 0, answered: 0, bypassed: 0, loggedOut: 0, slowest: 0 };
  let isStopping = false;
  const fail = (code: string) => {
    failed[code] = (failed[code] ?? 0) + 1;
  };

  const visit = async (user: User): Promise<void> => {
    const name = `w${totals.sent++}`;
    const began = loopTime();
    try {
      const answer = await ask(agent, port, `/change/${name}`, user.cookie);
      if (answer.status === 500) {
        user.failures++;
        fail(answer.body);
        return;
      }
      const { sid, bypassed } = JSON.parse(answer.body) as { sid?: string; bypassed?: boolean };
      if (bypassed) {
        totals.bypassed++;
        return;
      }
      if (answer.status === 410) {
        fail("GONE");
        return;
      }
      if (user.sid !== undefined && sid !== user.sid) totals.loggedOut++;
      user.sid = sid;
      user.cookie = answer.cookie ?? user.cookie;
      user.acknowledged.add(name);
      totals.answered++;
    } catch (error) {
      fail(String(error));
    } finally {
      totals.slowest = Math.max(totals.slowest, loopTime() - began);
    }
  };

  const users = Array.from(
    { length: count },
    (): User => ({ acknowledged: new Set(), cookie: undefined, sid: undefined, failures: 0 }),
  );
  // Without a session, each request of a user would make one of its own.
  const limit = loopTime() + PATIENCE;
  const enter = async (user: User) => {
    do await visit(user);
    while (user.sid === undefined && loopTime() < limit);
  };
  await Promise.all(users.map(enter));
  const loops = users.flatMap((user) =>
    Array.from({ length: parallel }, async () => {
      while (!isStopping) {
        await visit(user);
        await delay(pause);
      }
    }),
  );

  const end = async () => {
    if (!running.delete(end)) return;
    isStopping = true;
    await Promise.all(loops);
    agent.destroy();
    server.close();
    await once(server, "close");
  };
  running.add(end);

  const report = (): LoadReport => ({ ...totals, failed: { ...failed } });
  const wait = async (condition: () => boolean) => {
    const limit = loopTime() + PATIENCE;
    await until(() => {
      if (loopTime() < limit) return condition();
      const failures = users.map((user) => user.failures);
      throw new Error(`it does not come: ${JSON.stringify({ ...report(), failures })}`);
    });
  };
  return {
    report,
    async answers(more) {
      const goal = totals.answered + more;
      await wait(() => totals.answered >= goal);
    },
    async everyone() {
      const before = users.map(({ acknowledged }) => acknowledged.size);
      await wait(() =>
        users.every(({ acknowledged }, index) => acknowledged.size > Number(before[index])),
      );
    },
    async failures(code, more) {
      const have = () => {
        if (code === "bypassed") return totals.bypassed;
        if (code !== "any") return failed[code] ?? 0;
        return Object.values(failed).reduce((sum, count) => sum + count, 0);
      };
      const goal = have() + more;
      await wait(() => have() >= goal);
    },
    async stop() {
      await end();
      const result = report();
      const { testPath, currentTestName } = expect.getState();
      if (process.env.SHOW_LOAD && testPath) {
        process.stdout.write(`${currentTestName}: ${JSON.stringify(result)}\n`);
      }
      return result;
    },
    acknowledged: () => users.flatMap(({ acknowledged }) => [...acknowledged]),
    users: () => users.map(({ sid, failures }) => ({ sid: sid ?? "none", failures })),
    async lost(other) {
      const missing: string[] = [];
      for (const { sid, acknowledged } of users) {
        const session = (await other.get(sid ?? "none")) as AppSession | null;
        for (const name of acknowledged) {
          if (session === null || !(name in session)) missing.push(name);
        }
      }
      return missing;
    },
  };
}

/** That every request is accounted for, no user was lost, and nothing failed in another way. */
export function expectAccounted(report: LoadReport, ...codes: string[]): void {
  const { sent, answered, bypassed, failed, loggedOut } = report;
  const failures = Object.values(failed).reduce((sum, count) => sum + count, 0);
  expect(answered + bypassed + failures).toBe(sent);
  expect(loggedOut).toBe(0);
  expect(codes).toEqual(expect.arrayContaining(Object.keys(failed)));
}
