import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";

/** What becomes of the bytes that Redis sends; what it is sent always passes at once. */
type Way =
  | { readonly kind: "pass" }
  | { readonly kind: "delay"; readonly ms: number }
  | { readonly kind: "drip" };

/** A connection of a client through the proxy. */
interface Link {
  readonly client: Socket;
  readonly redis: Socket;
  /** Half-open: neither side hears of the other any more, and nobody is told. */
  isMute: boolean;
}

/** A TCP proxy on the loopback interface that stands between a client and a Redis. */
export interface TcpProxy {
  readonly port: number;
  readonly url: string;
  /** How many connections there are through it. */
  readonly links: number;
  /** Connections that are made from now on lead to another port. */
  lead(target: number): void;
  /** Everything passes again; connections that were cut or muted stay so. */
  restore(): void;
  /** Each reply comes `ms` later. */
  delay(ms: number): void;
  /** Replies come one byte at a time. */
  drip(): void;
  /** Drops every connection, and with `refuse` every new one too. */
  drop(refuse?: boolean): void;
  /** Passes half of the next reply of each connection and resets the connection there. */
  resetInReply(): void;
  /** What is connected now stays connected and carries nothing, in neither direction, for ever. */
  mute(): void;
  /** The same for connections that are made from now on, until `restore`. */
  muteNew(): void;
  stop(): Promise<void>;
}

/** Starts a proxy to a port of the loopback interface. */
export async function startProxy(first: number): Promise<TcpProxy> {
  let target = first;
  const links = new Set<Link>();
  let way: Way = { kind: "pass" };
  let refuses = false;
  let mutesNew = false;
  let resetting = new Set<Link>();

  const cut = (link: Link, how: "reset" | "end" = "end") => {
    links.delete(link);
    if (how === "reset") link.client.resetAndDestroy();
    else link.client.destroy();
    link.redis.destroy();
  };

  const server: Server = createServer((client) => {
    if (refuses) {
      client.destroy();
      return;
    }
    const redis = connect({ host: "127.0.0.1", port: target });
    const link: Link = { client, redis, isMute: mutesNew };
    links.add(link);
    client.setNoDelay();
    redis.setNoDelay();
    // Chunks follow each other, whatever becomes of each.
    let last: Promise<void> = Promise.resolve();

    client.on("data", (chunk) => {
      if (!link.isMute) redis.write(chunk);
    });
    redis.on("data", (chunk) => {
      if (resetting.delete(link)) {
        client.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => cut(link, "reset"));
        return;
      }
      const now = way;
      const due = now.kind === "delay" ? Date.now() + now.ms : 0;
      last = last.then(async () => {
        if (now.kind === "delay") {
          await new Promise((done) => setTimeout(done, Math.max(0, due - Date.now())));
        }
        for (const part of now.kind === "drip" ? bytesOf(chunk) : [chunk]) {
          if (link.isMute || client.destroyed) return;
          client.write(part);
          if (now.kind === "drip") await nextTurn();
        }
      });
    });
    for (const socket of [client, redis]) {
      socket.on("error", () => {});
      socket.on("close", () => {
        if (!link.isMute) cut(link);
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };

  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    get links() {
      return links.size;
    },
    lead(other) {
      target = other;
    },
    restore() {
      way = { kind: "pass" };
      refuses = false;
      mutesNew = false;
      resetting = new Set();
    },
    delay(ms) {
      way = { kind: "delay", ms };
    },
    drip() {
      way = { kind: "drip" };
    },
    drop(refuse = false) {
      refuses = refuse;
      for (const link of [...links]) cut(link);
    },
    resetInReply() {
      resetting = new Set(links);
    },
    mute() {
      for (const link of links) link.isMute = true;
    },
    muteNew() {
      mutesNew = true;
    },
    async stop() {
      for (const link of [...links]) cut(link);
      server.close();
      await once(server, "close");
    },
  };
}

function* bytesOf(chunk: Buffer): Generator<Buffer> {
  for (let at = 0; at < chunk.length; at++) yield chunk.subarray(at, at + 1);
}
