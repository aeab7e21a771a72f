// Situations that chance alone seldom makes.
import { FAULTS } from "./client.js";
import { type Step, type Trouble, USERS, type Variant } from "./plan.js";
import type { Chance } from "./time.js";

/** A situation that chance alone seldom makes; it is played by itself, or beside the rest of a plan. */
export interface Scene {
  readonly sharesBrowser: boolean;
  /** The processes of its actors, where that matters. */
  readonly where?: readonly number[];
  options(chance: Chance): Partial<Variant>;
  /** The steps of each of its actors. */
  play(chance: Chance): Step[][];
  /** What goes wrong. */
  troubles?(chance: Chance): Trouble[];
}

const wait = (chance: Chance, name: string, choices: readonly number[]): Step => ({
  do: "wait",
  ms: chance.pick(choices, name),
});

export const SCENES: readonly Scene[] = [
  // Some only read, while others write.
  {
    sharesBrowser: true,
    options: (chance) => ({ cache: true, disableTouch: chance.of("no touch here") < 0.5 }),
    play: (chance) =>
      [0, 1, 2].map((actor) => {
        const steps: Step[] = [{ do: "request" }, { do: "set", place: "x" }, { do: "save" }];
        for (let turn = 0; turn < 4; turn++) {
          steps.push(wait(chance, `wait ${actor} ${turn}`, [1, 2, 5, 30, 1200, 2000]));
          if (chance.of(`writes ${actor} ${turn}`) < (actor === 0 ? 0.7 : 0.15)) {
            steps.push({ do: "request" }, { do: "set", place: "y" }, { do: "save" });
          }
          steps.push({ do: "read" }, { do: "read" }, { do: "read" });
        }
        return steps;
      }),
  },
  // A save without an answer, another's change in the same places, and the save again.
  {
    sharesBrowser: true,
    options: () => ({ conflict: "merge" }),
    play: (chance) => {
      const place = chance.pick(["x", "box/a"], "place");
      const again = chance.pick<Step[]>(
        [
          [],
          [{ do: "undo" }],
          [{ do: "undo" }, { do: "undo" }],
          [{ do: "set", place }],
          [{ do: "set", place: "z" }],
          [
            { do: "set", place },
            { do: "trouble", fault: chance.pick(FAULTS, "fault again") },
            { do: "save" },
            { do: "undo" },
          ],
        ],
        "again",
      );
      const waits = [1, 5, 20, 120, 300];
      return [
        [
          ...([{ do: "request" }, { do: "save" }, { do: "wait", ms: 40 }] as const),
          ...([{ do: "request" }, { do: "set", place: "y" }, { do: "set", place }] as const),
          ...(chance.of("a login") < 0.4 ? [{ do: "log in", user: "ada" } as const] : []),
          { do: "trouble", fault: chance.pick(FAULTS, "fault") },
          { do: "save" },
          wait(chance, "before", waits),
          ...again,
          { do: "save" },
          wait(chance, "after", waits),
          { do: "save" },
        ],
        [
          { do: "wait", ms: 60 },
          wait(chance, "late", waits),
          { do: "request" },
          { do: chance.of("removes") < 0.3 ? "delete" : "set", place },
          { do: "save" },
        ],
      ];
    },
  },
  // Everybody logs in at once.
  {
    sharesBrowser: false,
    options: (chance) => ({
      users: true,
      limit: chance.pick([1, 2, undefined], "limit"),
      rejects: chance.of("rejects") < 0.5,
    }),
    play: (chance) =>
      [0, 1, 2, 3].map((actor): Step[] => [
        wait(chance, `first ${actor}`, [1, 1, 30, 400]),
        { do: "request" },
        { do: "log in", user: chance.pick(["ada", "ada", "ada", "bob"], `who ${actor}`) },
        { do: "save" },
        wait(chance, `then ${actor}`, [1, 30, 400, 5500]),
        chance.pick<Step>(
          [
            { do: "destroy" },
            { do: "regenerate" },
            { do: "log out" },
            { do: "log in", user: "bob" },
            { do: "set", place: "x" },
          ],
          `what ${actor}`,
        ),
        { do: "log in", user: chance.pick(USERS, `again ${actor}`) },
        { do: "save" },
        { do: "respond" },
      ]),
  },
  // A user logs in everywhere, while every session is at work.
  {
    sharesBrowser: false,
    where: [0, 1, 0],
    options: (chance) => ({
      users: true,
      limit: chance.pick([1, 1, 2], "limit"),
      rejects: false,
      touchAfter: 0,
    }),
    play: (chance) =>
      [0, 1, 2].slice(chance.of("two only") < 0.7 ? 1 : 0).map((actor): Step[] => [
        wait(chance, `first ${actor}`, [1, 30, 60]),
        { do: "request" },
        { do: "log in", user: "ada" },
        ...(chance.of(`${actor} is slow`) < 0.5
          ? [
              {
                do: "trouble",
                fault: "command slow",
                after: chance.pick([4, 5, 6, 7], `which ${actor}`),
              } as const,
            ]
          : []),
        { do: "save" },
        ...[0, 1, 2, 3].flatMap((turn): Step[] => [
          wait(chance, `turn ${turn} of ${actor}`, [0, 0, 3, 10]),
          { do: "set", place: chance.pick(["x", "y"], `what ${turn} of ${actor}`) },
          { do: "save" },
        ]),
        { do: "respond" },
      ]),
  },
  // The app makes its ids itself: two may begin the same session.
  {
    sharesBrowser: true,
    options: () => ({}),
    play: (chance) =>
      [0, 1].map((actor): Step[] => [
        { do: "request" },
        { do: "save" },
        wait(chance, `${actor} waits`, [1, 10, 100, 5500]),
        { do: "begin" },
        { do: "set", place: "x" },
        ...(chance.of(`${actor} in vain`) < 0.3
          ? [{ do: "trouble", fault: chance.pick(FAULTS, `fault ${actor}`) } as const]
          : []),
        { do: "save" },
        { do: "set", place: "y" },
        { do: "respond" },
      ]),
  },
  // Nobody waits for an answer, or for another's login.
  {
    sharesBrowser: true,
    options: (chance) => ({ users: chance.of("users") < 0.5 }),
    play: (chance) =>
      [0, 1, 2].map((actor): Step[] => [
        { do: "request" },
        { do: "save" },
        wait(chance, `${actor} waits`, [1, 10, 50]),
        ...(chance.of(`${actor} logs in`) < 0.5
          ? ([
              { do: "request" },
              { do: "log in", user: chance.pick(USERS, `who ${actor}`) },
              { do: "save" },
              { do: "request" },
            ] as const)
          : []),
        { do: "save twice", place: "x" },
        ...(chance.of(`${actor} spoils`) < 0.3 ? [{ do: "spoil" } as const] : []),
        { do: "save twice", place: "x" },
        { do: chance.of(`${actor} goes on`) < 0.5 ? "save twice" : "save thrice", place: "box/a" },
        { do: "respond" },
      ]),
  },
  // A logout without an answer, and a request that is still running.
  {
    sharesBrowser: true,
    options: (chance) => ({ users: chance.of("users") < 0.5 }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "save" },
        { do: "wait", ms: 40 },
        { do: "request" },
        { do: "set", place: "x" },
        { do: "trouble", fault: chance.pick(FAULTS, "fault") },
        { do: "destroy" },
      ],
      [
        { do: "wait", ms: 45 },
        { do: "request" },
        wait(chance, "runs", [5, 30, 110, 250, 400]),
        chance.pick<Step>(
          [
            { do: "set", place: "y" },
            { do: "log in", user: "bob" },
          ],
          "what",
        ),
        { do: "save" },
        wait(chance, "runs on", [5, 30, 110, 250]),
        { do: "respond" },
      ],
    ],
  },
  // One finds that its time is over, while another goes on with the session, or makes it its own.
  {
    sharesBrowser: true,
    options: (chance) => ({ users: chance.of("users") < 0.8 }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "save" },
        { do: "wait", ms: 40 },
        { do: "request" },
        { do: "maxAge", ms: 2 },
        wait(chance, "passes", [5, 8, 12]),
        ...(chance.of("in vain") < 0.3
          ? [{ do: "trouble", fault: chance.pick(FAULTS, "fault") } as const]
          : []),
        { do: "save" },
        { do: "respond" },
      ],
      [
        { do: "wait", ms: 45 },
        { do: "request" },
        wait(chance, "runs", [1, 3, 5, 10]),
        chance.pick<Step>(
          [
            { do: "set", place: "y" },
            { do: "log in", user: "bob" },
            { do: "log in", user: "bob" },
            { do: "maxAge", ms: 9000 },
          ],
          "what",
        ),
        { do: "save" },
        { do: "respond" },
      ],
    ],
  },
  // An operator lists and ends, as by the command line, what others are at work with.
  {
    sharesBrowser: false,
    options: (chance) => ({ users: chance.of("users") < 0.7, endings: chance.of("notes") < 0.4 }),
    play: (chance) => [
      ...[0, 1].map((actor): Step[] => [
        { do: "request" },
        { do: "log in", user: chance.pick(USERS, `who ${actor}`) },
        { do: "save" },
        wait(chance, `${actor} waits`, [1, 10, 30, 100]),
        { do: "request" },
        { do: "set", place: "x" },
        wait(chance, `${actor} works`, [1, 10, 30, 100]),
        { do: "save" },
        { do: "set", place: "y" },
        { do: "respond" },
        { do: "why" },
      ]),
      [0, 1, 2].flatMap((turn): Step[] => [
        wait(chance, `looks ${turn}`, [10, 30, 100]),
        ...(chance.of(`in vain ${turn}`) < 0.2
          ? [{ do: "trouble", fault: chance.pick(FAULTS, `fault ${turn}`) } as const]
          : []),
        chance.pick<Step>(
          [
            { do: "end", from: "page" },
            { do: "end", from: "sessions" },
            { do: "destroy one", user: "ada" },
            { do: "destroy all", user: "ada", scan: chance.of(`scans ${turn}`) < 0.5 },
            { do: "list", user: "ada" },
            { do: "clear" },
          ],
          `does ${turn}`,
        ),
      ]),
    ],
  },
  // A login is stored, and its entry not yet; elsewhere the user has logged out again.
  {
    sharesBrowser: true,
    where: [0, 1, 0],
    options: () => ({ users: true, conflict: "merge", native: true, requireNewId: false }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "save" },
        { do: "wait", ms: 40 },
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "trouble", fault: "answer slow", after: 1 },
        { do: "save" },
      ],
      [
        { do: "wait", ms: 45 },
        ...[0, 1, 2].flatMap((): Step[] => [{ do: "request" }, { do: "log out" }, { do: "save" }]),
      ],
      [
        wait(chance, "looks", [45, 48, 51, 54]),
        { do: "trouble", fault: "command slow", reads: true },
        { do: "request" },
        { do: "set", place: "y" },
        { do: "save" },
      ],
    ],
  },
  // A login without an answer, another's change on top of it, and again no answer.
  {
    sharesBrowser: true,
    where: [0, 1],
    options: () => ({ users: true, conflict: "merge", requireNewId: true }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "set", place: "x" },
        { do: "trouble", fault: chance.pick(["answer lost", "answer late"], "fault") },
        { do: "save" },
        wait(chance, "waits", [30, 50]),
        {
          do: "trouble",
          fault: chance.pick(FAULTS, "fault again"),
          after: chance.pick([1, 1, 2, 3, 4], "after"),
        },
        { do: "save" },
        wait(chance, "then", [1, 30, 120]),
        { do: "save" },
        { do: "respond" },
      ],
      [
        wait(chance, "comes", [20, 35, 120, 130]),
        { do: "request" },
        { do: "set", place: "y" },
        { do: "save" },
      ],
    ],
  },
  // Code that loads nothing writes a moment after a renewal, and the renewer looks again.
  {
    sharesBrowser: true,
    where: [0, 1],
    options: () => ({ rolling: true, absolute: false, touchAfter: 60, cache: false }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "set", place: "x" },
        { do: "save" },
        wait(chance, "waits", [10, 20, 30, 40]),
        { do: "request" },
        { do: "respond" },
      ],
      [wait(chance, "comes", [5, 10, 15, 20, 30]), { do: "overwrite", place: "y" }],
    ],
  },
  // Of two writes without an answer the first is heard of late, and another one sets a cookie.
  {
    sharesBrowser: true,
    where: [0, 1],
    options: () => ({ conflict: "merge" }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "save" },
        { do: "wait", ms: 40 },
        { do: "request" },
        { do: "set", place: "y" },
        { do: "set", place: "box/a" },
        {
          do: "trouble",
          fault: chance.pick(["answer late", "answer late", "answer lost"], "first"),
        },
        { do: "save" },
        { do: "delete", place: chance.pick(["y", "box/a"], "what") },
        {
          do: "trouble",
          fault: chance.pick(["answer lost", "command lost"], "second"),
          after: chance.pick([0, 1, 1], "after"),
        },
        { do: "save" },
        wait(chance, "waits", [20, 60, 120, 200]),
        { do: "save" },
      ],
      [
        wait(chance, "comes", [50, 60, 90, 120, 150]),
        { do: "request" },
        { do: "maxAge", ms: 9000 },
        { do: "respond" },
      ],
    ],
  },
  // Two requests store the same cookie, and one of them gets no answer.
  {
    sharesBrowser: true,
    where: [0, 1],
    options: () => ({ conflict: "merge" }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "save" },
        { do: "wait", ms: 40 },
        { do: "request" },
        { do: "maxAge", ms: 9000 },
        { do: "set", place: "x" },
        { do: "trouble", fault: "command lost" },
        { do: "save" },
        wait(chance, "waits", [1, 20, 60]),
        { do: "set", place: "y" },
        { do: "save" },
      ],
      [
        { do: "wait", ms: 45 },
        { do: "request" },
        { do: "maxAge", ms: 9000 },
        { do: "set", place: "x" },
        { do: "save" },
      ],
    ],
  },
  // A renewal is under way while the session is ended, and somebody has a row of it.
  {
    sharesBrowser: true,
    where: [0, 0, 0],
    options: (chance) => ({ touchAfter: 60, users: chance.of("users") < 0.5 }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "set", place: "x" },
        { do: "save" },
        { do: "wait", ms: 100 },
        { do: "request" },
        { do: "destroy" },
      ],
      [wait(chance, "comes", [98, 101, 104]), { do: "request" }, { do: "respond" }],
      [
        { do: "wait", ms: 25 },
        { do: "touch row", from: "sessions", ms: chance.pick([80, 95, 110], "later") },
      ],
    ],
  },
  // A logout waits in vain behind a login without an answer, and a renewal is under way.
  {
    sharesBrowser: true,
    where: [0, 0, 0],
    options: () => ({ rolling: false, users: true, disableTTL: false, requireNewId: false }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "save" },
        { do: "wait", ms: 40 },
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "trouble", fault: "answer late" },
        { do: "save" },
        wait(chance, "waits", [10, 40, 60]),
        { do: "request" },
        { do: "respond" },
      ],
      [{ do: "wait", ms: 44 }, { do: "request" }, { do: "destroy" }],
      [
        { do: "wait", ms: 44 },
        { do: "request" },
        wait(chance, "runs", [80, 85, 90, 95, 100]),
        { do: "respond" },
      ],
    ],
  },
  // A session that made room begins anew under its id, when the user has no other one any more.
  {
    sharesBrowser: false,
    where: [0, 1, 1, 0],
    options: () => ({ users: true, limit: 1, rejects: false, requireNewId: false }),
    play: (chance) => [
      [{ do: "request" }, { do: "log in", user: "ada" }, { do: "save" }],
      [
        { do: "wait", ms: 50 },
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "trouble", fault: "command lost", after: chance.pick([9, 10, 11, 12, 13], "which") },
        { do: "save" },
        { do: "destroy" },
      ],
      [],
      [
        wait(chance, "comes", [150, 200]),
        { do: "begin" },
        { do: "log in", user: "ada" },
        { do: "save" },
        { do: "set", place: "x" },
        { do: "save" },
      ],
    ],
  },
  // A session is over, and stored anew under its id while somebody looks at the index.
  {
    sharesBrowser: true,
    where: [0, 1, 0],
    options: () => ({ users: true, rolling: true, absolute: false, requireNewId: false }),
    play: (chance) => [
      [{ do: "request" }, { do: "log in", user: "ada" }, { do: "maxAge", ms: 30 }, { do: "save" }],
      [
        wait(chance, "comes", [50, 53, 56, 60]),
        { do: "begin" },
        { do: "log in", user: "ada" },
        { do: "save" },
      ],
      [
        wait(chance, "looks", [46, 50]),
        { do: "list", user: "ada" },
        { do: "list", user: "ada" },
        { do: "list", user: "ada" },
      ],
    ],
  },
  // Users log in while all sessions are ended.
  {
    sharesBrowser: false,
    options: () => ({ users: true }),
    play: (chance) => [
      ...[0, 1].map((actor): Step[] => [
        wait(chance, `${actor} comes`, [1, 5, 10, 15, 20, 25]),
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "save" },
      ]),
      [wait(chance, "clears", [1, 5, 10]), { do: "clear" }],
    ],
  },
  // A place is taken, and its session comes late.
  {
    sharesBrowser: false,
    options: () => ({ users: true, limit: 1, rejects: true }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "trouble", fault: "command slow", after: 1 },
        { do: "save" },
      ],
      [
        wait(chance, "comes", [5, 10, 20, 30]),
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "save" },
      ],
    ],
  },
  // A login takes its time to arrive, and is looked for in its last moments.
  {
    sharesBrowser: true,
    where: [0, 1],
    options: () => ({ users: true, requireNewId: false, disableTTL: false }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "save" },
        { do: "wait", ms: 40 },
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "maxAge", ms: 300 },
        { do: "trouble", fault: "command slow" },
        { do: "save" },
      ],
      [
        wait(chance, "looks", [350, 354, 358]),
        ...[0, 1, 2, 3, 4, 5, 6, 7].map((): Step => ({ do: "list", user: "ada" })),
      ],
    ],
  },
  // A serializer fails while a new cookie is stored.
  {
    sharesBrowser: true,
    where: [0],
    options: () => ({ serializer: "slow", conflict: "merge", disableTouch: false }),
    troubles: () =>
      [50, 60, 70, 80, 90].map((after) => ({
        after,
        what: "serializer fails",
        process: 0,
      })),
    play: () => [
      [
        { do: "request" },
        { do: "set", place: "x" },
        { do: "save" },
        { do: "request" },
        { do: "maxAge", ms: 9000 },
        { do: "respond" },
      ],
    ],
  },
  // A renewal misses the index, which is lost then, and is tried again.
  {
    sharesBrowser: true,
    options: () => ({ users: true, touchAfter: 60, disableTouch: false }),
    troubles: (chance) => [
      { after: 430 + chance.below(140, "when"), what: "evict", kind: "index", pick: 0 },
    ],
    play: (chance) => [
      [
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "maxAge", ms: 9000 },
        { do: "save" },
        { do: "wait", ms: 160 },
        { do: "request" },
        { do: "respond" },
        { do: "wait", ms: 160 },
        { do: "request" },
        { do: "trouble", fault: chance.pick(["command lost", "answer late"], "fault"), after: 1 },
        { do: "respond" },
        wait(chance, "waits", [0, 5, 10]),
        { do: "request" },
        { do: "respond" },
      ],
    ],
  },
  // A login gets no answer while the user of before logs in elsewhere.
  {
    sharesBrowser: false,
    options: () => ({
      users: true,
      limit: 1,
      rejects: false,
      conflict: "merge",
      requireNewId: false,
    }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "save" },
        { do: "wait", ms: 60 },
        { do: "request" },
        { do: "log in", user: "bob" },
        { do: "trouble", fault: "answer lost" },
        { do: "save" },
        { do: "respond" },
      ],
      [
        wait(chance, "comes", [50, 60, 70, 80]),
        { do: "request" },
        { do: "log in", user: "ada" },
        { do: "save" },
      ],
    ],
  },
  // A row is given back while its session has to make room.
  {
    sharesBrowser: false,
    where: [0, 1, 0],
    options: () => ({ users: true, limit: 1, rejects: false }),
    play: (chance) => [
      [{ do: "request" }, { do: "log in", user: "ada" }, { do: "save" }],
      [{ do: "wait", ms: 50 }, { do: "request" }, { do: "log in", user: "ada" }, { do: "save" }],
      [
        wait(chance, "looks", [30, 40, 50, 60]),
        { do: "give back", from: chance.pick(["all", "sessions"], "from"), place: "z" },
      ],
    ],
  },
  // A new session gets no answer, and becomes the same user's by two requests.
  {
    sharesBrowser: true,
    where: [0, 1],
    options: () => ({ users: true, conflict: "merge", requireNewId: false }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "set", place: "x" },
        { do: "trouble", fault: "answer lost" },
        { do: "save" },
        { do: "set", place: "y" },
        ...(chance.of("again") < 0.5
          ? [
              { do: "trouble", fault: chance.pick(FAULTS, "fault") } as const,
              { do: "save" } as const,
            ]
          : []),
        wait(chance, "waits", [1, 10, 30]),
        { do: "log in", user: "ada" },
        { do: "save" },
      ],
      [
        wait(chance, "comes", [15, 30, 60, 90]),
        { do: "begin" },
        { do: "log in", user: "ada" },
        { do: "save" },
      ],
    ],
  },
  // One request saves faster than it is answered.
  {
    sharesBrowser: true,
    options: () => ({}),
    play: () => [
      [
        { do: "request" },
        { do: "save" },
        { do: "request" },
        { do: "save thrice", place: "x" },
        { do: "save thrice", place: "y" },
        { do: "save thrice", place: "x" },
      ],
    ],
  },
  // What a listing gave is used a while later.
  {
    sharesBrowser: true,
    options: () => ({ disableTouch: false }),
    play: (chance) => [
      [
        { do: "request" },
        { do: "save" },
        { do: "wait", ms: 50 },
        { do: "request" },
        { do: "maxAge", ms: 9000 },
        { do: "save" },
      ],
      [
        wait(chance, "looks", [30, 45, 55]),
        {
          do: "touch row",
          from: chance.pick(["sessions", "page", "sessionsOf", "all"], "from"),
          ms: chance.pick([1, 20, 60], "later"),
        },
      ],
    ],
  },
];
