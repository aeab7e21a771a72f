import { type RedisServer, startRedis } from "../../tools/redis-server.js";
import { plain } from "../conformance/clients.js";
import { startProxy, type TcpProxy } from "../support/proxy.js";
import { connect, makeStore, sessionOf } from "../support/store.js";

// A connection may come to lead to another server, where a cursor of SCAN means nothing.

let servers: RedisServer[];
let proxy: TcpProxy;
beforeAll(async () => {
  servers = await Promise.all([startRedis(), startRedis()]);
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));
afterEach(() => proxy.stop());

const ways = plain.filter(({ name }) => /^(redis \d|ioredis \d|iovalkey)$/.test(name));

test.each(ways)(
  "$name: a listing that the connection leaves in the middle starts again, and misses nothing",
  async ({ open }) => {
    const [first, second] = servers as [RedisServer, RedisServer];
    proxy = await startProxy(first.port);
    const opened = await open({ port: proxy.port });
    const store = makeStore(opened.client, { timeout: 5000 });
    const sids = Array.from({ length: 4000 }, (_, index) => `sid-${index}`);
    for (const { url } of servers) {
      const direct = makeStore(await connect(6, url), { prefix: store.prefix });
      await Promise.all(sids.map((sid) => direct.set(sid, sessionOf())));
      // Nothing says that both number their keys in the same way.
      if (url === second.url) {
        await Promise.all(sids.slice(0, 1000).map((sid) => direct.destroy(sid)));
      }
    }
    const listed = new Set<string>();
    let hasMoved = false;
    for await (const { sid } of store.sessions()) {
      if (hasMoved) listed.add(sid);
      else {
        hasMoved = true;
        proxy.lead(second.port);
        proxy.drop();
      }
    }
    const missing = sids.slice(1000).filter((sid) => !listed.has(sid));
    expect(missing).toEqual([]);
    await opened.close();
  },
);
