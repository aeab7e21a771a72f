// Makes clients of old packages, which take callbacks, usable.

import { StoreError } from "../base/index.js";
import type { Command, NodeRedisClient } from "../client/index.js";

/** What the store uses of a client of redis 2 or 3: `createClient()`, with callbacks. */
export interface CallbackClient {
  readonly ready: boolean;
  send_command(
    name: string,
    args: (string | Buffer)[],
    callback: (error: Error | null, reply: unknown) => void,
  ): unknown;
  removeListener(event: string, listener: () => void): unknown;
}

/** By what the old clients are told apart; none is sure to be there. */
interface Features {
  readonly ready?: unknown;
  readonly isOpen?: unknown;
  readonly closing?: unknown;
  readonly connection_options?: unknown;
  readonly send_command?: unknown;
  readonly sendCommand?: unknown;
  readonly v4?: Pick<NodeRedisClient, "sendCommand">;
  readonly on?: unknown;
  readonly options?: Options | undefined;
}

interface Options {
  readonly legacyMode?: unknown;
  readonly prefix?: unknown;
  readonly return_buffers?: unknown;
  readonly string_numbers?: unknown;
}

/**
 * The client as `RedisStore` takes it. Versions 4 to 6 of connect-redis wanted callbacks: a client of
 * redis 2 or 3, or one of redis 4 in legacyMode. Any other one is handed on as it is.
 *
 * @throws ERR_INVALID_OPTION for a client of theirs that is set up so that it cannot be used
 */
export function withPromises(client: unknown, binary: boolean): unknown {
  if (typeof client !== "object" || client === null) return client;
  const features = client as Features;
  if (typeof features.send_command === "function" && typeof features.ready === "boolean") {
    assertUsable(features.options ?? {}, binary);
    return ofCallbacks(client as CallbackClient & Features);
  }
  if (typeof features.isOpen === "boolean" && features.options?.legacyMode) {
    return ofLegacyMode(client as NodeRedisClient & Features);
  }
  if (typeof features.sendCommand === "function" && features.on === undefined) {
    throw refused(
      "what legacy() of redis 5 or 6 returns does not tell whether it is connected; pass the client itself",
    );
  }
  return client;
}

function ofLegacyMode(client: NodeRedisClient & Features): object {
  const { sendCommand } = client.v4 as Pick<NodeRedisClient, "sendCommand">;
  return instead(client, () => ({
    sendCommand,
    options: { ...client.options, legacyMode: false },
    // A copy would be in legacyMode too.
    duplicate: undefined,
  }));
}

function ofCallbacks(client: CallbackClient & Features): object {
  return instead(client, () => ({
    isOpen: client.closing !== true,
    isReady: client.ready,
    options: { socket: client.connection_options },
    duplicate: undefined,
    off: client.removeListener.bind(client),
    sendCommand: (command: [string, ...Command]) => promised(client, command),
  }));
}

/** The client, with some members in the place of its own. */
function instead(client: object, members: () => Record<string, unknown>): object {
  return new Proxy(client, {
    get(target, name) {
      const others = members();
      if (Object.hasOwn(others, name)) return others[name as string];
      const own: unknown = Reflect.get(target, name);
      // With private fields, a function of the client works on nothing but the client.
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}

function promised(client: CallbackClient, [name, ...args]: [string, ...Command]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    // The client knows commands by their names in lower case.
    client.send_command(name.toLowerCase(), args, (error, reply) => {
      if (error) reject(error);
      else resolve(asText(reply));
    });
  });
}

/** The reply of a client that answers with bytes, as text. */
function asText(reply: unknown): unknown {
  if (Array.isArray(reply)) return reply.map(asText);
  return Buffer.isBuffer(reply) ? reply.toString() : reply;
}

function assertUsable({ prefix, string_numbers }: Options, binary: boolean): void {
  if (prefix) {
    throw refused(
      'what was passed is a client of redis 2 or 3 with a prefix of its own; create it without, and put its prefix in front of the option "prefix" of the store ("sess:" unless you set it)',
    );
  }
  if (string_numbers) {
    throw refused(
      "what was passed is a client of redis 2 or 3 with string_numbers; create it without",
    );
  }
  if (binary) {
    throw refused(
      "what was passed is a client of redis 2 or 3, which cannot read binary sessions; pass a client of redis 4 or newer",
    );
  }
}

function refused(why: string): StoreError {
  return new StoreError("ERR_INVALID_OPTION", `the option "client" cannot be used: ${why}`);
}
