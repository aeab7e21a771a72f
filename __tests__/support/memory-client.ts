import { EventEmitter } from "node:events";
import { Refusal, type Reply, SimulatedRedis, Status, textOf } from "../simulation/redis.js";

type Command = (string | Buffer)[];
type Options = { typeMapping?: Record<number, unknown> };
/** What a client does with a command instead of sending it and waiting for the answer. */
type Trouble = (send: () => unknown) => unknown;

/** A client in the form of node-redis of a Redis in memory, of which a test says what goes wrong. */
export class MemoryClient extends EventEmitter {
  readonly isOpen = true;
  readonly isReady = true;
  readonly options = {};
  readonly commands: string[][] = [];
  /** What happens to the commands of a name, or to all others by the name `*`. */
  readonly troubles = new Map<string, Trouble>();
  readonly server = new SimulatedRedis({
    now: Date.now,
    native: true,
    page: 1000,
    onChange: () => {},
  });

  async sendCommand(command: Command, options: Options = {}): Promise<unknown> {
    const words = command.map(String);
    this.commands.push(words);
    const trouble = this.troubles.get(words[0] as string) ?? this.troubles.get("*");
    const isBinary = options.typeMapping?.[36] === Buffer;
    const send = () => answerOf(this.server.execute(command), isBinary);
    return trouble === undefined ? send() : trouble(send);
  }
}

function answerOf(reply: Reply, isBinary: boolean): unknown {
  if (reply instanceof Refusal) throw reply;
  if (reply instanceof Status) return reply.text;
  if (Array.isArray(reply)) return reply.map((each) => answerOf(each, isBinary));
  if (typeof reply !== "string") return reply;
  return isBinary ? Buffer.from(reply, "latin1") : textOf(reply);
}
