import { clusters, type Opened } from "../conformance/clients.js";
import { type Cluster, type Server, startCluster } from "../support/servers.js";
import { freshPrefix, makeStore, refusal, sessionOf } from "../support/store.js";

// Of a cluster one primary is frozen: its sessions fail in time, and the store is not down.

const timeout = 400;

let cluster: Cluster;
let frozen: Server | undefined;
beforeEach(async () => {
  cluster = await startCluster();
});
afterEach(async () => {
  frozen?.kill("SIGCONT");
  frozen = undefined;
  await cluster.stop();
});

const names = ["redis 6", "ioredis 6", "valkey-glide reading from replicas"];
const ways = clusters.filter(({ name }) => names.includes(name));

describe.each(ways)("$name", ({ open }) => {
  let opened: Opened;
  beforeEach(async () => {
    opened = await open(cluster.nodes.map(({ port }) => ({ port })));
  });
  afterEach(() => opened.close());

  /** A session id on the same primary as `other`, or on another one. */
  async function sidOn(prefix: string, holds: (server: Server) => boolean): Promise<string> {
    for (let n = 0; ; n++) {
      const sid = `sid-${n}`;
      if (holds(await cluster.ownerOf(await cluster.slotOf(prefix + sid)))) return sid;
    }
  }

  test("where only the dead shard is asked, the store does not go down", async () => {
    const prefix = freshPrefix();
    const store = makeStore(opened.client, { prefix, timeout });
    const down = jest.fn();
    store.on("down", down);
    const [first] = (await cluster.primaries()) as [Server];
    const dead = await sidOn(prefix, (server) => server === first);
    const alive = await sidOn(prefix, (server) => server !== first);
    await store.set(alive, sessionOf({ n: 1 }));
    await store.set(dead, sessionOf({ n: 2 }));
    frozen = first;
    frozen.kill("SIGSTOP");
    for (let times = 0; times < 3; times++) {
      expect((await refusal(store.get(dead))).code).toMatch(/^ERR_(TIMEOUT|UNAVAILABLE)$/);
    }
    expect(down).not.toHaveBeenCalled();
    expect(await store.get(alive)).toMatchObject({ n: 1 });
  });

  test("saves that wait for each other there take one timeout together, and not one each", async () => {
    const prefix = freshPrefix();
    const store = makeStore(opened.client, { prefix, timeout });
    const other = makeStore(opened.client, { prefix, timeout });
    const [first] = (await cluster.primaries()) as [Server];
    const sid = await sidOn(prefix, (server) => server === first);
    await store.set(sid, sessionOf());
    frozen = first;
    frozen.kill("SIGSTOP");
    const saves = Array.from({ length: 6 }, (_, n) => refusal(store.set(sid, sessionOf({ n }))));
    // Six questions one after the other take six times as long.
    const oneByOne = async () => {
      for (let times = 0; times < 5; times++) await refusal(other.get(sid));
      return "later";
    };
    const together = Promise.all(saves).then(() => "together");
    expect(await Promise.race([together, oneByOne()])).toBe("together");
    for (const { code } of await Promise.all(saves)) {
      expect(code).toMatch(/^ERR_(TIMEOUT|UNAVAILABLE)$/);
    }
  });
});
