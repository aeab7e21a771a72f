// What the simulator is judged by: the library with one line undone. Each has to be caught.

/**
 * @typedef {object} Mutant
 * @property {string} name - what it does wrong
 * @property {string} file
 * @property {string} from - what stands there once
 * @property {string} to - what stands there instead
 */

/** @param {string} file @param {[name: string, from: string, to: string][]} changes */
const of = (file, changes) =>
  changes.map(([name, from, to]) => ({ name, file: `lib/${file}.ts`, from, to }));

/** @type {Mutant[]} */
export const mutants = [
  ...of("client/compare", [
    [
      "a compare-and-set makes a session that is gone",
      "if not current then return 0 end\nif current ~= ARGV[1] then return current end\nif ARGV[3]",
      "if current and current ~= ARGV[1] then return current end\nif ARGV[3]",
    ],
    [
      "a compare-and-set does not compare",
      "if current ~= ARGV[1] then return current end\nif ARGV[3]",
      "if ARGV[3]",
    ],
    [
      "a compare-and-set leaves the session without an end",
      "'PX', ARGV[3]) end\nreturn 1",
      "'KEEPTTL') end\nredis.call('PERSIST', KEYS[1])\nreturn 1",
    ],
  ]),
  ...of("client/commands", [
    [
      "what the server refuses to replace counts as replaced",
      "if (there === null) return null;\n    // The clients",
      "if (there === null) return true;\n    // The clients",
    ],
    [
      "SET for existing sessions makes new ones",
      'when === "new" ? "NX" : "XX"',
      'when === "new" ? "NX" : "GET"',
    ],
    ["an unknown script is not sent", "if (!isNoScript(error)) throw error;", "throw error;"],
  ]),
  ...of("save/scripts", [
    [
      "a renewal does not compare",
      "if redis.sha1hex(current) ~= ARGV[1] then return current end\nif ARGV[2]",
      "if ARGV[2]",
    ],
    ["a renewal renews nothing", "if ARGV[2] ~= '' then", "if ARGV[2] == '' then"],
    [
      "what is over is removed whatever it has become",
      "if redis.sha1hex(current) ~= ARGV[1] then return current end\nredis.call('DEL'",
      "redis.call('DEL'",
    ],
  ]),
  ...of("session/landed", [
    [
      "a save has landed where another one has the same cookie",
      '(inData === "untouched" ? inCookie : inData) === "found"',
      '[inData, inCookie].includes("found")',
    ],
    [
      "a first save has landed where another one has changed all of it",
      'if (isFirst && inData !== "untouched") return inData === "found";',
      'if (isFirst && inData !== "untouched") return true;',
    ],
  ]),
  ...of("save/writer", [
    [
      "a session is gone by what the process wrote last",
      "if (done === null && saving.isGuess)",
      "if (done === null && !saving)",
    ],
    [
      "what was removed counts as renewed",
      "} finally {\n      renewals.end(sid);\n    }\n  }",
      "} finally {\n    }\n  }",
    ],
    [
      "after a save the object is compared with what it was when loaded",
      "loaded.held = held;\n    loaded.unanswered = NONE;\n    loaded.isDoubted = false;\n    loaded.mark",
      "loaded.held ??= held;\n    loaded.unanswered = NONE;\n    loaded.isDoubted = false;\n    loaded.mark",
    ],
    [
      "after a merge the object counts as what was merged",
      "{ stored, plain, own, isStale",
      "{ stored, plain, own: plain, isStale",
    ],
    [
      "a renewal counts from the session that the object was",
      "return this.#lifeOf(there, loaded, entry).then((its) => ({ text, life: its }));",
      "return { text, life };",
    ],
    [
      "a plain object is written only where a session is",
      "const written = port.set(settings.prefix + sid, text.stored, px);",
      'const written = port.set(settings.prefix + sid, text.stored, px, "existing");',
    ],
    [
      "a row of all() lives for ever",
      'port.set(key, text.stored, "keep", "existing")',
      "port.set(key, text.stored, null)",
    ],
    [
      "who lost a race is told that it was written",
      "if (done === null) return this.#gone(loaded, saving.reason, step);",
      'if (done === null) return "OK";',
    ],
  ]),
  ...of("save/saving", [
    [
      "a first save that was lost is not made good",
      "return this.#loaded.held === undefined;",
      "return false;",
    ],
    [
      "nobody waits for a serializer that fails",
      "if (isDoubted || (there !== null && (held",
      "this.#wish.own(held);\n    if (isDoubted || (there !== null && (held",
    ],
    [
      "any save makes a session that is gone",
      "return this.#loaded.held === undefined;",
      "return true;",
    ],
    [
      "a write without an answer is forgotten",
      "this.#judges.doubts.failed(this.#loaded, attempt, there?.plain, this.#wish.user, error);",
      "",
    ],
    [
      "a save after one without an answer has no mark",
      "if (!this.#loaded.isDoubted) return",
      "if (rest) return",
    ],
    [
      "a save in doubt is written as one that is not",
      "if (isDoubted || (there !== null",
      "if (!isDoubted && (there !== null",
    ],
    [
      "a cookie in doubt is stored for the user of before",
      "this.entry?.belongsTo(this.#wish.user);",
      "",
    ],
    ["what is assumed counts as found", "there === guess ? guess : ", ""],
    [
      "a merged session counts as the object's own",
      "return sameValue(there.stored, base.stored) && isWhole(base);",
      "return sameValue(there.stored, base.stored);",
    ],
    [
      "what is sent twice counts as somebody else's",
      "if (last?.text && there && sameValue",
      "if (last?.text && !there && sameValue",
    ],
  ]),
  ...of("save/agreement", [
    [
      "a new session is written where another one is",
      'port.set(key, text.stored, px, "new")',
      "port.set(key, text.stored, px)",
    ],
    [
      "what a new session finds in its place is not looked at",
      "return port.get(key);",
      "return null;",
    ],
    [
      "a conflict gives up at once",
      "if (!isWritten && (round >= MOST_ROUNDS || performance.now() >= until)) {",
      "if (!isWritten && round >= 1) {",
    ],
  ]),
  ...of("save/doubts", [
    [
      "a write that landed is known by its text only",
      "return hasLanded(old.session, written.session, current.session);",
      "return false;",
    ],
    [
      "of the writes in doubt only the newest counts",
      "const newestFirst = [...unanswered].reverse();",
      "const newestFirst = unanswered.slice(-1);",
    ],
    [
      "of a write on top of another one the last change is enough",
      "if (isOnTop && !(await",
      "if (!one && !(await",
    ],
    [
      "what shows of the write that was heard of counts as the next one's",
      "for (const later of loaded.unanswered) later.before = landed.held.plain;",
      "",
    ],
    [
      "what shows of the write before counts as the newer one's",
      "if (older === undefined) break;",
      "break;",
    ],
    [
      "a new session in doubt that is ended keeps the user of before",
      "loaded.user = last.user;",
      "",
    ],
    ["a late answer is not heard", "open.hasLanded = true;", "drop(loaded, open);"],
    [
      "who wrote without an answer keeps the user of before",
      "loaded.held = landed.held;\n    loaded.user = landed.user;\n    loaded.unanswered = NONE;",
      "loaded.held = landed.held;\n    loaded.unanswered = NONE;",
    ],
  ]),
  ...of("base/errors", [
    [
      "only a timeout leaves a question open",
      'return code === "ERR_TIMEOUT" || code === "ERR_UNAVAILABLE";',
      'return code === "ERR_TIMEOUT";',
    ],
  ]),
  ...of("save/saver", [
    [
      "a logout without an answer is forgotten",
      "if (isSilence(error)) this.#doom(sid, ending);\n        throw error;",
      "throw error;",
    ],
    [
      "a logout that waited in vain is forgotten",
      "if (!hasBegun && isSilence(error))",
      "if (hasBegun && !isSilence(error))",
    ],
    [
      "a save writes a session whose logout got no answer",
      "if (this.#doomed.has(sid)) return writer.discard",
      "if (!sid) return writer.discard",
    ],
    [
      "a touch renews a session whose logout got no answer",
      "if (this.#doomed.has(loaded.sid)) return false;",
      "",
    ],
    [
      "a login under an id that was nobody's is let through",
      "if (fixated && settings.users?.needsNewId) {",
      "if (!fixated && settings.users?.needsNewId === null) {",
    ],
    [
      "a change counts as none",
      "if (!(isChanged instanceof Promise ? await isChanged : isChanged)) {",
      "if (isChanged instanceof Promise || !isChanged || isChanged) {",
    ],
    [
      "saves of one session do not wait for each other",
      "return this.#turns.take(sid, async (turn) => {\n      const plain",
      "return this.#turns.take(sid + Math.random(), async (turn) => {\n      const plain",
    ],
    ["a save in doubt may be only a renewal", "&& !isOver && !loaded.isDoubted;", "&& !isOver;"],
  ]),
  ...of("save/turns", [
    [
      "a failed save takes those that wait with it",
      "return next();\n      };",
      "throw error;\n      };",
    ],
    [
      "a line is left before its last save is done",
      "if (this.#lines.get(sid)?.last === result) this",
      "this",
    ],
  ]),
  ...of("save/touch", [
    [
      "a touch always counts as covered",
      "return isCovered && !saver.isDoomed(sid) ? undefined : life;",
      "return undefined;",
    ],
    [
      "what is to be ended counts as renewed",
      "isCovered && !saver.isDoomed(sid) ? undefined",
      "isCovered ? undefined",
    ],
    [
      "a touch of a row shortens a life",
      'await port.expire(key, px, "longer");',
      "await port.expire(key, px);",
    ],
    [
      "a row of all() that is touched puts off its deadline",
      "session, sid, created ?? now, now, true)",
      "session, sid, now, now, true)",
    ],
    [
      "a new cookie is not stored by a touch",
      "if (isEnding || mustStore(known, cookie.seen.settings, settings.conflict)) {",
      "if (isEnding) {",
    ],
  ]),
  ...of("session/renewals", [
    [
      "a renewal that would be earlier is skipped",
      "if (exact - now > left || left >",
      "if (left >",
    ],
    [
      "an expiry is remembered whatever the text is",
      " || !isOf(text, last.text)) return false;",
      ") return false;",
    ],
  ]),
  ...of("session/expiry", [
    [
      "a save that waited takes away what it waited",
      "const since = isDated ? Date.now() : now;",
      "const since = Date.now();",
    ],
    [
      "the slack is taken off the life",
      "Math.min(this.now + this.idle + this.slack, this.deadline)",
      "Math.min(this.now + this.idle - this.slack, this.deadline)",
    ],
    [
      "the slack is ten times what it may be",
      "Math.min(rules.touchAfter, idle / SLACK_SHARE)",
      "Math.min(rules.touchAfter, (idle * 10) / SLACK_SHARE)",
    ],
    [
      "no deadline",
      "const deadline = created + limitOf(rules, session, idle);",
      "const deadline = created * 2 + limitOf(rules, session, idle);",
    ],
  ]),
  ...of("session/merge", [
    ["two users are mixed", "if (!isSame && !(isFirst", "if (!isSame && !isSame && (isFirst"],
    [
      "the other request's change wins",
      "if (equal(a, m, key)) value = c;",
      "if (equal(a, m, key) || !equal(a, c, key)) value = c;",
    ],
    [
      "the other request's change is lost",
      "if (equal(a, m, key)) value = c;",
      "if (equal(a, m, key)) value = m;",
    ],
    [
      "what the other request removed comes back",
      "if (value !== ABSENT) put(merged, key, value);",
      "if ((value === ABSENT ? a : value) !== ABSENT) put(merged, key, value === ABSENT ? a : value);",
    ],
  ]),
  ...of("users/scripts", [
    [
      "one that is leaving gets its place back",
      "if ARGV[4] == 'new' or ((activity or ARGV[4] == 'there') and activity ~= '-inf') then",
      "if ARGV[4] == 'new' or activity or ARGV[4] == 'there' then",
    ],
    [
      "a limit lets one more in",
      "count() >= limit then return {0",
      "count() > limit then return {0",
    ],
    [
      "the one that was active last makes room",
      "put(ARGV[1], time[1] * 1000000 + time[2], ARGV[2])",
      "put(ARGV[1], 8e15 - time[1] * 1000000 - time[2], ARGV[2])",
    ],
    [
      "a session that is stored anew does not get its place",
      "if ARGV[4] == 'new' or ((activity or ARGV[4] == 'there') and",
      "if ((activity or ARGV[4] ~= 'sent') and",
    ],
    [
      "an entry is made for a session that perhaps is gone",
      "((activity or ARGV[4] == 'there') and activity ~= '-inf')",
      "activity ~= '-inf'",
    ],
    ["who has a place is refused", "if not has and limit > 0", "if limit > 0"],
    [
      "a session is ended whatever it has become",
      "if redis.sha1hex(value) ~= ARGV[1] then return 2 end\n",
      "",
    ],
    [
      "an entry is dropped whatever has become of it",
      "if ARGV[i + 1] == '' or redis.call('ZSCORE', KEYS[1], ARGV[i]) == ARGV[i + 1] then drop",
      "if true then drop",
    ],
    [
      "clear() drops the entries of what is stored meanwhile",
      "local before = '(' .. ARGV[1]",
      "local before = '+inf'",
    ],
    ["an entry ends before its session", "or now + px, sid)", "or now + px / 2, sid)"],
    [
      "an index ends with the first of its sessions",
      "KEYS[2], -1, -1, 'WITHSCORES'",
      "KEYS[2], 0, 0, 'WITHSCORES'",
    ],
  ]),
  ...of("users/entries", [
    [
      "a place for what is being written counts as a dead one",
      "(number >= COMING && now - (number - COMING) < grace)",
      "(number >= COMING && now < 0)",
    ],
    [
      "an entry ends when its session should",
      "Math.ceil(expires - Date.now())) + this.#margin",
      "Math.ceil(expires - Date.now()))",
    ],
  ]),
  ...of("users/owned", [
    [
      "what an index names is taken for the user's",
      "if (record === null || this.#userOf(record.session) !== user) {",
      "if (record === null) {",
    ],
  ]),
  ...of("users/membership", [
    [
      "a renewal is skipped though the index has missed the last one",
      "this.#index.renewAgain(this.#sid);",
      "",
    ],
    ["an entry that was told of too early counts as there", "&& !this.#isSentAgain &&", "&&"],
    [
      "a row that is given back counts as a new session",
      "this.#isNew = false;\n    this.sent(expires);",
      "this.sent(expires);",
    ],
    [
      "an entry comes before its session",
      "const isLater = user === this.#before || (this.#isNew && this.#index.isOrdered);",
      "const isLater = true;",
    ],
    [
      "what others have stored is taken back with the own entry",
      "await this.#index.release(user, entry);",
      "await this.#index.forget(user, entry);",
    ],
    [
      "what was entered for a save that found another's session stays",
      "await this.#takeBack();\n      return false;",
      "return false;",
    ],
    [
      "an entry is written for a session that is not stored",
      "if (isStored) return await this.#stored();",
      "return await this.#stored();",
    ],
    [
      "the entry of the user before is left",
      "work.push(this.#index.disown(other, this.#sid));",
      "",
    ],
    ["who logs in is not entered", "isDone ? first : this.#enter(user)", "first"],
    [
      "a new session in doubt gets a place back",
      "loaded?.held === undefined && !loaded?.unanswered.length",
      "loaded?.held === undefined",
    ],
    [
      "who gets no answer gets a place back",
      "this.#isNew && this.#told === undefined",
      "this.#isNew",
    ],
    [
      "what has no answer has no entry",
      "if (isInDoubt(error)) await this.#perhaps();",
      "if (isInDoubt(error)) {}",
    ],
  ]),
  ...of("users/user-index", [
    [
      "an entry that was dropped is not made again by who finds its session",
      "if (stored?.user === user) await this",
      "if (stored?.user === null) await this",
    ],
    [
      "an entry lives as long as the last write without an answer",
      "Math.max(end, expires)",
      "expires",
    ],
    [
      "who had to make room is told that it was written",
      "if (leaving.some((entry) => entry.sid === sid)) isKept = false;",
      "",
    ],
    ["others make room for what is gone", "if (await this.#isOf(user, sid)) leaving", "leaving"],
    [
      "who would be too many is not refused",
      "if (!rejects) return undefined;",
      "if (rejects || !rejects) return undefined;",
    ],
    [
      "a place that was given back meanwhile is not seen",
      "found > 0 || taken < this.#users.limit",
      "found > 0",
    ],
    ["who had to make room counts as logged out", '{ reason: "limit" }', '{ reason: "logout" }'],
    [
      "who is to stay is ended, too",
      "yield sids.filter(({ sid }) => !except.has(sid));",
      "yield sids;",
    ],
    ["too many sessions are not ended", "await this.#end(user, [leaving], LIMIT, 0);", ""],
    [
      "dead entries keep the places",
      "const isFreed = round < ROUNDS && (await",
      "const isFreed = round < 0 && (await",
    ],
  ]),
  ...of("read/cache", [
    [
      "a session is served from memory when its life is over",
      "if (now < entry.until) return entry;",
      "return entry;",
    ],
    [
      "a connection that may be dead vouches for what it has read",
      "if (!this.#tracker.isCoherent(now)) return undefined;",
      "",
    ],
    [
      "a read that was overtaken is kept",
      "this.#reading.get(key) === read ? this.#keep(key, value, until) : value",
      "this.#keep(key, value, until)",
    ],
    [
      "a lost connection does not empty the cache",
      "onLost: () => this.#dropAll(),",
      "onLost: () => {},",
    ],
    [
      "an announcement is not heard",
      "(key === null ? this.#dropAll() : this.#drop(key))",
      "(key === null ? this.#dropAll() : undefined)",
    ],
    [
      "an own write does not empty the cache",
      "this.#drop(key);\n      this.#writes.set",
      "this.#writes.set",
    ],
    [
      "a read beside an own write fills the cache",
      "if (this.#writes.has(key) || !this.#tracker.isCoherent(performance.now())) {",
      "if (!this.#tracker.isCoherent(performance.now())) {",
    ],
  ]),
  ...of("client/later", [
    ["what got no answer is not done later", "MOST);\n    this.#wait();", "MOST);"],
  ]),
  ...of("endings/endings", [
    [
      "an ending leaves no note",
      "const noted = this.#keepFor > 0 ?",
      "const noted = this.#keepFor < 0 ?",
    ],
  ]),
  ...of("events/watcher", [
    [
      "what nobody has heard is no gap",
      'if (post.subscriber !== undefined) this.#tell("gap");',
      "",
    ],
  ]),
  ...of("events/keyspace", [
    [
      "a renewal with a write is an event of its own",
      'if (written !== sid) this.#emit("touched", sid);',
      'this.#emit("touched", sid);',
    ],
    [
      "a new session is told of as a changed one",
      'created === sid ? "created" : "updated"',
      'created === sid ? "updated" : "created"',
    ],
  ]),
  ...of("client/deadline", [
    [
      "there is no deadline",
      "this.#timer = setTimeout(this.#look, ms);",
      "this.#timer = setTimeout(() => {}, ms);",
    ],
  ]),
];
