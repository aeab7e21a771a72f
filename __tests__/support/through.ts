import type { EventEmitter } from "node:events";

/** What has commands. */
interface Sender {
  sendCommand(command: (string | Buffer)[], options?: object): Promise<unknown>;
}

/** A command as it is sent. */
type Words = (string | Buffer)[];

/** Sends a command on, with some options changed, or with the words that it had. */
type Send = (changed?: object, words?: Words) => Promise<unknown>;

/** An object in which some members are others. */
export function withMember<T extends object>(target: T, members: object): T {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(members, name)) return Reflect.get(members, name) as unknown;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}

/**
 * A client whose every command goes through `pass` on its way to the server.
 *
 * @param pass - gets the command, bytes as text; what sends it on; and its words, which the store may
 *   change in the command itself to take it back
 */
export function through<Client extends Sender>(
  client: Client,
  pass: (command: string[], send: Send, words: Words) => Promise<unknown>,
): Client {
  // To a store each of them is another client, and it listens to each.
  const emitter = client as unknown as EventEmitter;
  emitter.setMaxListeners(emitter.getMaxListeners() + 1);
  const sendCommand: Sender["sendCommand"] = (command, options) =>
    pass(
      command.map(String),
      (changed, words = command) =>
        client.sendCommand(words, changed === undefined ? options : { ...options, ...changed }),
      [...command],
    );
  return withMember(client, { sendCommand });
}
