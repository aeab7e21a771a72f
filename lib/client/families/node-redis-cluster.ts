// The transport over a cluster of node-redis.
import { performance } from "node:perf_hooks";
import { slotOf } from "../slot.js";
import type { Command, Primary } from "../transport.js";
import { AS_BYTES, AS_TEXT, type NodeRedisClient, NodeRedisTransport } from "./node-redis.js";

/** What the store uses of a node-redis cluster, version 4, 5 or 6: `createCluster()`. */
export interface NodeRedisCluster {
  readonly isOpen: boolean;
  readonly masters: NodeRedisNode[];
  nodeClient(node: never): unknown;
  getRandomNode(): unknown;
  sendCommand(
    firstKey: string | undefined,
    isReadonly: boolean | undefined,
    command: Command,
    options?: object,
  ): Promise<unknown>;
}

interface NodeRedisNode {
  readonly address: string;
  readonly client?: unknown;
}

/** What the client knows of its servers. */
interface Topology extends NodeRedisCluster {
  readonly slots: readonly ({ readonly master: NodeRedisNode } | undefined)[];
}

/** What only version 4 needs. */
interface Version4 extends Topology {
  readonly nodeByAddress: ReadonlyMap<string, NodeRedisNode>;
}

/** Versions 4 and 5 are made to look for new primaries at most so often, in ms. */
const LOOK = 500;

/** node-redis: a cluster. */
export class NodeRedisClusterTransport extends NodeRedisTransport {
  readonly #cluster: NodeRedisCluster;
  readonly #findsPrimaries: boolean;
  #lastKey = "";
  #nextLook = 0;

  constructor(cluster: NodeRedisCluster) {
    super(cluster, AS_TEXT, AS_BYTES);
    this.#cluster = cluster;
    this.#findsPrimaries = "isReady" in cluster;
  }

  /** Commands for a primary without a connection would wait in its queue, and go out late. */
  isReady(): boolean {
    return this.canQueue() && this.#cluster.masters.every(isConnected);
  }

  isConnected(): boolean {
    return this.isReady();
  }

  host(): string {
    return "a primary of the cluster";
  }

  /** While it connects, it is open and knows no primary. */
  protected override canQueue(): boolean {
    return this.#cluster.isOpen && this.#cluster.masters.length > 0;
  }

  readonly primaries = async (): Promise<Primary[]> => {
    const cluster = this.#cluster;
    if (!this.isReady()) this.#lookForPrimaries();
    return cluster.masters.map((master) => ({
      address: master.address,
      send: async (command) => (await this.#clientOf(master)).sendCommand(command, AS_TEXT),
      connection: () => this.#clientOf(master),
    }));
  };

  readonly primaryOf = (key: string): string | undefined =>
    (this.#cluster as Topology).slots[slotOf(key)]?.master.address;

  protected dispatch(command: Command, key: string, options: object): Promise<unknown> {
    this.#lastKey = key;
    if (!this.isReady()) this.#lookForPrimaries();
    const { slots, nodeByAddress } = this.#cluster as Version4;
    const node = "shards" in this.#cluster ? slots[slotOf(key)]?.master : undefined;
    if (node !== undefined) return this.#sendTo(node, nodeByAddress, command, key, options);
    // What is not read-only goes to the primary, whatever `useReplicas` says.
    return this.#cluster.sendCommand(key, false, command, options);
  }

  /**
   * Follows ASK, which counts for the very next command of a connection: when version 4 sends several
   * commands on, it sends all their ASKINGs first, and runs in circles.
   */
  async #sendTo(
    node: NodeRedisNode,
    nodes: Version4["nodeByAddress"],
    command: Command,
    key: string,
    options: object,
  ): Promise<unknown> {
    try {
      return await (await this.#clientOf(node)).sendCommand(command, options);
    } catch (error) {
      const [, word, address] = /^(ASK|MOVED) \d+ (\S+)/.exec((error as Error).message) ?? [];
      if (word === undefined) throw error;
      const other = nodes.get(address as string);
      // The client learns where the slots are, and where an unknown node is.
      if (word === "MOVED" || other === undefined)
        return this.#cluster.sendCommand(key, false, command, options);
      const client = await this.#clientOf(other);
      client.sendCommand(["ASKING"], AS_TEXT).catch(() => {});
      return client.sendCommand(command, options);
    }
  }

  async #clientOf(node: NodeRedisNode): Promise<NodeRedisClient> {
    return (await this.#cluster.nodeClient(node as never)) as NodeRedisClient;
  }

  /**
   * Versions 4 and 5 learn only from a MOVED that slots have a new primary, and keep asking the one
   * that is gone. So a question goes to one that is there: most likely it is about a slot of another
   * one, and the client looks at the slots anew.
   */
  #lookForPrimaries(): void {
    const { masters } = this.#cluster;
    const now = performance.now();
    const there = masters.filter(isConnected);
    const asked = there[Math.floor(Math.random() * there.length)];
    if (this.#findsPrimaries || asked === undefined || now < this.#nextLook) return;
    this.#nextLook = now + LOOK;
    // A command without a key goes to the next node in turn; all have had theirs after two rounds.
    const before = masters.at(masters.indexOf(asked) - 1);
    for (let turns = 4 * masters.length; turns > 0; turns--) {
      if (this.#cluster.getRandomNode() === before) break;
    }
    this.#cluster.sendCommand(undefined, false, ["GET", this.#lastKey], AS_TEXT).catch(() => {});
  }
}

function isConnected({ client }: NodeRedisNode): boolean {
  // With minimizeConnections it connects when it is needed.
  return client === undefined || (client as { isReady?: boolean }).isReady === true;
}
