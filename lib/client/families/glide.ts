// The transport over valkey-glide.
import { SLOTS, slotOf } from "../slot.js";
import type { Command, Primary, Transport, Wait } from "../transport.js";

/** What the store uses of a client of valkey-glide: `GlideClient` or `GlideClusterClient`. */
export interface GlideClientLike {
  customCommand(command: Command, options?: object): Promise<unknown>;
  getStatistics(): object;
  close(): void;
}

/** The numbers of its enum `Decoder`. */
const AS_BYTES = { decoder: 0 };
const AS_TEXT = { decoder: 1 };

/** Its names for the errors that Redis has words of its own for. */
const WORDS: Readonly<Record<string, string>> = {
  Ask: "ASK",
  BusyLoadingError: "LOADING",
  ClusterDown: "CLUSTERDOWN",
  MasterDown: "MASTERDOWN",
  Moved: "MOVED",
  NoScriptError: "NOSCRIPT",
  PermissionDenied: "NOPERM",
  ReadOnly: "READONLY",
  TryAgain: "TRYAGAIN",
};

/** So many slots are far from each other, and so on several primaries. */
const PROBED = 16;

/** valkey-glide: one server or a cluster. It has no key prefix and looks after its connections itself. */
export class GlideTransport implements Transport {
  readonly keyPrefix = "";
  readonly addsPrefix = false;
  readonly readsReplicas: boolean;
  readonly isOrdered = false;
  // It refuses what exceeds `inflightRequestsLimit`, 1000 by default, which the app shares.
  readonly inFlight = 200;
  readonly primaries?: () => Promise<Primary[]>;
  readonly signs?: readonly Primary[];
  readonly #client: GlideClientLike;

  constructor(client: GlideClientLike) {
    this.#client = client;
    const isCluster = isGlideCluster(client);
    const { config } = client as { config?: { readFrom?: unknown } };
    // A command to a cluster names the primary that it goes to.
    this.readsReplicas = !isCluster && (config?.readFrom ?? "primary") !== "primary";
    if (isCluster) {
      this.primaries = () => this.#findPrimaries();
      this.signs = keysFarApart(PROBED).map((key) => this.#ownerOf(key));
    }
  }

  isReady(): boolean {
    return true;
  }

  isConnected(): undefined {}

  host(): string {
    if (this.primaries !== undefined) return "a primary of the cluster";
    const { config } = this.#client as {
      config?: { addresses?: { host: string; port?: number }[] };
    };
    const [first] = config?.addresses ?? [];
    return first === undefined ? "the server" : `${first.host}:${first.port ?? 6379}`;
  }

  trouble(): undefined {}

  send(command: Command, key: string, binary: boolean, wait: Wait | undefined): Promise<unknown> {
    wait?.left();
    const decoder = binary ? AS_BYTES : AS_TEXT;
    const options =
      this.primaries === undefined
        ? decoder
        : { ...decoder, route: { type: "primarySlotKey", key } };
    return this.#dispatch(command, options);
  }

  /**
   * The primary that serves a key, whichever it is then. Named by a slot (`primarySlotId`), the client
   * takes that of slot 0 for each.
   */
  #ownerOf(key: string): Primary {
    const route = { type: "primarySlotKey", key };
    const send = (command: Command) => this.#dispatch(command, { ...AS_TEXT, route });
    return { address: `the primary of ${key}`, send };
  }

  /** Asked of all primaries, a command is answered with their addresses. */
  async #findPrimaries(): Promise<Primary[]> {
    const command: Command = ["SCAN", "0", "COUNT", "1"];
    const answers = await this.#dispatch(command, { ...AS_TEXT, route: "allPrimaries" });
    return (answers as { key: string }[]).map(({ key: address }) => this.#primary(address));
  }

  #primary(address: string): Primary {
    const colon = address.lastIndexOf(":");
    const host = address.slice(0, colon);
    const route = { type: "routeByAddress", host, port: Number(address.slice(colon + 1)) };
    return { address, send: (command) => this.#dispatch(command, { ...AS_TEXT, route }) };
  }

  #dispatch(command: Command, options: object): Promise<unknown> {
    return this.#client.customCommand(command, options).catch(rethrow);
  }
}

/** Keys of as many parts of all slots, each as large as the others. */
function keysFarApart(count: number): string[] {
  const keys = new Map<number, string>();
  for (let n = 0; keys.size < count; n++) {
    const key = `probe-${n}`;
    const part = Math.floor((slotOf(key) * count) / SLOTS);
    if (!keys.has(part)) keys.set(part, key);
  }
  return [...keys.values()];
}

/** Whether a client of valkey-glide is one of a cluster. */
function isGlideCluster(client: object): boolean {
  return typeof (client as { pubsubShardChannels?: unknown }).pubsubShardChannels === "function";
}

/** An error with the reply of the server first, as the other clients have it. */
function rethrow(error: unknown): never {
  const { message } = error as Error;
  const [, signalled, own, text] =
    /^(?:An error was signalled by the server: - (\w+)|([A-Z]{2,})): (.*)/s.exec(message) ?? [];
  const word = own ?? (signalled === undefined ? undefined : (WORDS[signalled] ?? "ERR"));
  if (word === undefined) throw error;
  throw new Error(`${word} ${text}`, { cause: error });
}
