import { RedisStore, type SessionEvents } from "../../lib/index.js";
import { freshPrefix, PATIENT, sessionOf, until } from "./store.js";
import { type Place, tick } from "./user-index-suite.js";

/** Writes down what an event source emits, oldest first. */
export function listen(events: SessionEvents): string[] {
  const log: string[] = [];
  for (const name of ["created", "updated", "touched", "destroyed", "expired"] as const) {
    events.on(name, (sid) => log.push(`${name} ${sid}`));
  }
  return log;
}

/** What watch() promises on every topology and with every client that can. */
export function watchSuite(name: string, open: () => Promise<Place>): void {
  describe(name, () => {
    let place: Place;
    let store: RedisStore;
    let events: SessionEvents;
    let log: string[];
    let prefix: string;
    beforeAll(async () => {
      place = await open();
      prefix = `w[1]*${freshPrefix()}`;
      store = new RedisStore({ client: place.client, prefix, touchAfter: 0, timeout: PATIENT });
      events = await store.watch();
      log = listen(events);
    });
    afterAll(async () => {
      store?.close();
      await place?.close();
    });
    beforeEach(() => {
      log.length = 0;
    });

    const key = (sid: string) => `${place.keyPrefix}${prefix}${sid}`;
    const raw = (sid: string, command: string, ...args: string[]) =>
      place.command(key(sid), command, key(sid), ...args);
    /** All events of a sid, once those of a later change of the same key have come. */
    const of = async (sid: string) => {
      await raw(sid, "SET", "end of test");
      await raw(sid, "DEL");
      const own = () => log.filter((line) => line.endsWith(` ${sid}`));
      await until(() => own().length > 1 && own().at(-1) === `destroyed ${sid}`);
      return own().slice(0, -2);
    };

    /** Right after a write a renewal counts as part of it: renews until that is told of. */
    const renewed = (sid: string, renew: () => Promise<unknown>) =>
      until(async () => {
        await renew();
        await tick();
        return log.includes(`touched ${sid}`);
      });
    /** Without the repetitions of a renewal. */
    const once = (lines: string[]) => lines.filter((line, at) => line !== lines[at - 1]);

    test("a session is created, updated, touched and destroyed: one event each", async () => {
      const cookie = { originalMaxAge: 60_000 };
      await store.set("a", sessionOf({}, cookie));
      const session = (await store.get("a")) as never as { n: number };
      await renewed("a", () => store.touch("a", session as never));
      session.n = 1;
      await store.set("a", session as never);
      await store.destroy("a");
      expect(once(await of("a"))).toEqual(["created a", "touched a", "updated a", "destroyed a"]);
    });

    test("an event names its session by the handle too", async () => {
      const handles: string[] = [];
      const note = (_sid: string, handle: string) => handles.push(handle);
      events.on("created", note);
      await store.set("h", sessionOf());
      await of("h");
      events.off("created", note);
      expect(handles).toEqual([store.handleOf("h")]);
    });

    test("it does not matter which program changes a session", async () => {
      await raw("b:ü", "SET", "{}", "EX", "100");
      await raw("b:ü", "SETEX", "100", "{}");
      await raw("b:ü", "SET", "{}");
      await until(() => log.filter((line) => line === "updated b:ü").length === 2);
      await renewed("b:ü", () => raw("b:ü", "EXPIRE", "100"));
      await raw("b:ü", "PEXPIRE", "100000");
      await raw("b:ü", "UNLINK");
      const lines = await of("b:ü");
      expect(lines.slice(0, 3)).toEqual(["created b:ü", "updated b:ü", "updated b:ü"]);
      expect(once(lines.slice(3))).toEqual(["touched b:ü", "destroyed b:ü"]);
    });

    test("a session expires", async () => {
      await raw("c", "SET", "{}", "PX", "20");
      // Reading makes Redis notice.
      await until(async () => (await raw("c", "GET")) === null);
      expect(await of("c")).toEqual(["created c", "expired c"]);
    });

    test("only sessions under this very prefix are told of", async () => {
      const other = new RedisStore({
        client: place.client,
        prefix: `w1${prefix.slice(5)}`,
        timeout: PATIENT,
      });
      await other.set("d", sessionOf());
      const indexed = new RedisStore({
        client: place.client,
        prefix,
        userId: () => "ada",
        touchAfter: 0,
        timeout: PATIENT,
      });
      await indexed.set("e", sessionOf());
      await indexed.destroy("e");
      expect(await of("e")).toEqual(["created e", "destroyed e"]);
      await other.clear();
      expect(log.filter((line) => !line.endsWith(" e"))).toEqual([]);
    });

    test("many sessions, wherever they are", async () => {
      const sids = Array.from({ length: 200 }, (_, index) => `m${index}`);
      await Promise.all(sids.map((sid) => store.set(sid, sessionOf())));
      expect(await store.clear()).toBe(200);
      await until(() => log.length >= 400);
      expect([...log].sort()).toEqual(
        [...sids.map((sid) => `created ${sid}`), ...sids.map((sid) => `destroyed ${sid}`)].sort(),
      );
    });
  });
}
