// The part "end": ends sessions, after a question.
import type { Connection } from "./connect.js";
import type { Console } from "./console.js";
import { usage } from "./failure.js";
import { find, handlesOf } from "./find.js";
import type { Arguments, Part } from "./part.js";
import { escaped } from "./text.js";

/** What is to be ended, in words, and what does it. */
interface Plan {
  readonly what: string;
  run(): Promise<number>;
}

export const end: Part = async (connection, given, terminal) => {
  const plan = await planOf(connection, given, terminal);
  if (!(await isWanted(plan, given, terminal))) {
    terminal.say("nothing was ended");
    return 4;
  }
  const ended = await plan.run();
  await terminal.put(given.json ? JSON.stringify({ ended }) : `${ended} ended`);
  return 0;
};

async function planOf(connection: Connection, given: Arguments, terminal: Console): Promise<Plan> {
  const { store } = connection;
  const { user, all, handles, except } = given;
  const why = given.because === undefined ? {} : { because: given.because };
  const ways = [all, user !== undefined && handles.length === 0, handles.length > 0];
  if (ways.filter(Boolean).length !== 1) {
    throw usage("end takes handles, or --user, or --all; see end --help");
  }
  if (except.length > 0 && (user === undefined || handles.length > 0)) {
    throw usage("--except goes with --user");
  }
  if (all) {
    if (given.because !== undefined)
      throw usage("--all leaves no notes, and so takes no --because");
    // Only who is asked needs the number.
    const number = given.yes ? "" : `${await store.length()} `;
    return {
      what: `all ${number}sessions with the prefix "${store.prefix}"`,
      run: () => store.clear(),
    };
  }
  if (handles.length === 0) {
    const entries = await store.sessionsOf(user as string);
    const spared = await sparedBy(except, entries);
    const count = entries.length - spared.length;
    const options = spared.length > 0 ? { ...why, except: spared } : why;
    return {
      what: `${count} sessions of the user "${escaped(user as string)}"`,
      run: () => store.destroyAllOf(user as string, options),
    };
  }
  const named = await handlesOf(connection, given, terminal);
  const found = await find(connection, named, user, terminal);
  return {
    what: found.length === 1 ? `the session ${named[0]}` : `${found.length} sessions`,
    run: async () => {
      let ended = 0;
      for (const { sid, handle } of found) {
        ended += await (user === undefined
          ? store.destroy(sid, why)
          : store.destroyOf(user, handle, why));
        terminal.progress(() => `${ended} of ${found.length} ended`);
      }
      return ended;
    },
  };
}

async function sparedBy(
  handles: readonly string[],
  entries: readonly { handle: string; sid: string }[],
): Promise<string[]> {
  return handles.map((handle) => {
    const entry = entries.find((one) => one.handle === handle);
    if (entry === undefined) throw usage(`the user has no session ${handle}; nothing was ended`);
    return entry.sid;
  });
}

function isWanted({ what }: Plan, { yes }: Arguments, terminal: Console): Promise<boolean> {
  if (yes) return Promise.resolve(true);
  if (terminal.canAsk) return terminal.confirm(`End ${what}?`);
  throw usage(`this would end ${what}; no terminal can be asked, so say --yes`);
}
