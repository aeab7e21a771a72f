// What --help says.

const CONNECTION = `
  --url URL        redis://host:6379, else REDIS_URL, else this machine's. A
                   password stands in REDIS_URL only
  --cluster        the address is one of a cluster
  --config FILE    a module whose default export is the options of the app's
                   store, or a function that makes them
  --prefix TEXT    what the keys begin with, by default "sess:"
  --json           data as JSON, one object a line in lists
  --help           this text`;

const EXIT = `
Exit: 0 done, 1 the doctor found something, 2 wrong usage, 3 no connection,
4 failed.`;

/** The texts, by the name of the part; "" is the command itself. */
export const HELP: Readonly<Record<string, string>> = {
  "": `redis-session-store: looks at the sessions of an app, and ends them

  doctor           is this Redis fit for sessions
  list             the sessions, a line each
  show HANDLE      one session: its place, its life, its content as types
  end HANDLE …     ends sessions: these, a user's (--user), or all (--all)
  why HANDLE       why a session ended
  migrate          seals and indexes what is there, while the app runs

Each takes --help. Sessions are named by their handles; a session id is a
credential and comes by standard input, where "-" stands for a handle.
${CONNECTION}
${EXIT}`,
  doctor: `redis-session-store doctor: is this Redis fit for sessions

Checks the server, what the configured store needs, and the sessions. Writes
one session of its own, for a second.
${CONNECTION}
${EXIT}`,
  list: `redis-session-store list: the sessions, a line each

  --user ID        those of one user, the last active first (--config)
  --limit N        stop after so many
  --largest N      only so many, the largest first
${CONNECTION}
${EXIT}`,
  show: `redis-session-store show HANDLE: one session

  -                the session id comes by standard input
  --user ID        look among those of this user, which is fast (--config)
  --values         show values, not only types and sizes
${CONNECTION}
${EXIT}`,
  end: `redis-session-store end HANDLE …: ends sessions

  -                a session id comes by standard input
  --user ID        all of this user's, or of the handles only theirs (--config)
  --except HANDLE  with --user: not this one; may be given more than once
  --all            all sessions of the prefix
  --because TEXT   why, for whyGone() (needs endings, so --config)
  --yes            do not ask; needed where no terminal can be asked
${CONNECTION}
${EXIT}`,
  why: `redis-session-store why HANDLE: why a session ended

Needs --config with the option endings.

  -                the session id comes by standard input
${CONNECTION}
${EXIT}`,
  migrate: `redis-session-store migrate: seals and indexes what is there

For sessions that are older than the options encryption and userId. Goes in
batches, as often as you like, while the app runs. Needs --config.
${CONNECTION}
${EXIT}`,
};
