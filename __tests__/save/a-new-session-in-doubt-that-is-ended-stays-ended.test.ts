import type { RedisStore, RedisStoreOptions } from "../../lib/index.js";
import { type Fault, type FaultyClient, faulty, writes } from "../support/faults.js";
import { generated, load, warmUp } from "../support/requests.js";
import {
  type AppSession,
  connect,
  makeStore,
  refusal,
  sessionOf,
  until,
} from "../support/store.js";

async function setUp(options: Omit<Partial<RedisStoreOptions>, "client"> = {}) {
  const faults = faulty(await connect());
  const store = makeStore(faults.client, { timeout: 500, ...options }) as RedisStore;
  const other = makeStore(await connect(), { ...options, prefix: store.prefix }) as RedisStore;
  await warmUp(store);
  const mine = generated("sid", { n: 1 });
  return { faults, store, other, mine };
}

/** A write that gets no answer while others get theirs. */
async function failing(
  { faults, store }: { faults: FaultyClient; store: RedisStore },
  fault: Fault,
  write: () => Promise<unknown>,
): Promise<void> {
  faults.fate = writes(fault);
  const timer = setInterval(() => void store.get("other").catch(() => {}), 10);
  expect(await refusal(write())).toMatchObject({ code: "ERR_TIMEOUT" });
  clearInterval(timer);
  faults.fate = () => undefined;
  await until(() =>
    store.get("other").then(
      () => true,
      () => false,
    ),
  );
}

const fates: Fault[] = ["lose", "drop"];

describe.each(fates)("a new session whose first save has no answer (%s)", (fault) => {
  test.each(["merge", "overwrite"] as const)(
    "and that is ended is not stored again by the same object (%s)",
    async (conflict) => {
      const { faults, store, other, mine } = await setUp({ conflict });
      await failing({ faults, store }, fault, () => store.set("sid", mine));
      expect(await store.destroy("sid")).toBe(fault === "lose" ? 1 : 0);
      mine.n = 2;
      expect(await store.set("sid", mine)).toBe("GONE");
      expect(await store.touch("sid", mine)).toBe("EXPIRED");
      expect(await other.get("sid")).toBeNull();
    },
  );

  test("and that is ended is not called a login under an id that was nobody's", async () => {
    const userId = (one: object) => (one as { user?: string }).user;
    const { faults, store, mine } = await setUp({ userId, requireNewId: true });
    mine.user = "ada";
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    await store.destroy("sid");
    expect(await store.set("sid", mine)).toBe("GONE");
  });

  test("and whose end has no answer either is not stored again by the same object", async () => {
    const { faults, store, other, mine } = await setUp();
    await failing({ faults, store }, fault, () => store.set("sid", mine));
    await failing({ faults, store }, fault, () => store.destroy("sid"));
    mine.n = 2;
    expect(await store.set("sid", mine)).toBe("GONE");
    await until(async () => (await other.get("sid")) === null);
    expect(await store.set("sid", mine)).toBe("GONE");
    // Another new session under that id is another session.
    expect(await store.set("sid", generated("sid"))).toBe("OK");
  });
});

describe("a session that a late write makes anew after its logout is removed again", () => {
  test("where express-session had generated it, saved again and confirmed meanwhile", async () => {
    const { faults, store, other, mine } = await setUp({ timeout: 100 });
    await failing({ faults, store }, "late", () => store.set("sid", mine));
    expect(await store.set("sid", mine)).toBe("OK");
    expect(await store.destroy("sid")).toBe(1);
    await faults.arrive();
    expect(await other.get("sid")).toMatchObject({ n: 1 });
    await until(async () => (await other.get("sid")) === null);
  });

  test("where the app had made it by hand", async () => {
    const { faults, store, other } = await setUp({ timeout: 100 });
    await failing({ faults, store }, "late", () => store.set("sid", sessionOf({ n: 1 })));
    expect(await store.destroy("sid")).toBe(0);
    await faults.arrive();
    expect(await other.get("sid")).toMatchObject({ n: 1 });
    await until(async () => (await other.get("sid")) === null);
  });

  test("but not where another one has changed it", async () => {
    const { faults, store, other, mine } = await setUp({ timeout: 100 });
    await failing({ faults, store }, "late", () => store.set("sid", mine));
    await failing({ faults, store }, "late", () => store.set("second", generated("second")));
    await store.destroy("sid");
    await store.destroy("second");
    await faults.arrive();
    const theirs = await load(other, "sid");
    theirs.n = 2;
    expect(await other.set("sid", theirs)).toBe("OK");
    await until(async () => (await other.get("second")) === null);
    expect(await other.get("sid")).toMatchObject({ n: 2 });
  });
});

describe("a new session that is saved through a Proxy", () => {
  const proxied = (one: AppSession) => new Proxy(one, {});
  const same = (one: AppSession) => one;

  test.each([
    ["a Proxy, then another one", proxied, proxied],
    ["a Proxy, then itself", proxied, same],
    ["itself, then a Proxy", same, proxied],
  ])("as %s, is one session", async (_, first, second) => {
    const { store, other, mine } = await setUp();
    mine.flash = "x";
    expect(await store.set("sid", first(mine))).toBe("OK");
    delete mine.flash;
    expect(await store.set("sid", second(mine))).toBe("OK");
    expect(await other.get("sid")).not.toHaveProperty("flash");
    expect(await store.destroy("sid")).toBe(1);
    mine.n = 2;
    expect(await store.set("sid", second(mine))).toBe("GONE");
    expect(await store.set("sid", first(mine))).toBe("GONE");
    expect(await other.get("sid")).toBeNull();
  });
});
