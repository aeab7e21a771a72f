import { debianServer, debianServers } from "../tools/debian-servers.js";
import { versionOf } from "../tools/redis-binary.js";
import { startRedis } from "../tools/redis-server.js";
import { CONTENDERS, connect, fill } from "./contenders.js";
import { alternate, spread, time } from "./measure.js";
import { OPERATIONS } from "./operations.js";
import { DAY_MS, HOT } from "./sessions.js";
import { perOperation, range, verdict } from "./table.js";

/** @typedef {import("./contenders.js").Client} Client */

/** The goal for the server's time, as a share of the script's. */
const GOAL = 0.6;

/** A client whose server seems to have scripts only. @param {Client} client @returns {Client} */
function scriptsOnly(client) {
  return new Proxy(client, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      if (name !== "sendCommand") return value.bind(target);
      return (/** @type {string[]} */ command, /** @type {object} */ options) =>
        command[3] === "IFEQ"
          ? Promise.reject(new Error("ERR syntax error"))
          : target.sendCommand(command, options);
    },
  });
}

/** Adds up what a server needs while it is looked at, in µs. */
class ServerTime {
  #admin;
  #before = { cpu: 0, commands: 0 };
  /** All that its main thread did, reading and answering included. */
  cpu = 0;
  /** What it says that the commands took. */
  commands = 0;

  /** @param {Client} admin */
  constructor(admin) {
    this.#admin = admin;
  }

  async start() {
    this.#before = await this.#spent();
  }

  async stop() {
    const { cpu, commands } = await this.#spent();
    this.cpu += cpu - this.#before.cpu;
    this.commands += commands - this.#before.commands;
  }

  async #spent() {
    const text = `${await this.#admin.info("cpu")}\n${await this.#admin.info("commandstats")}`;
    const sum = (/** @type {RegExp} */ pattern) =>
      [...text.matchAll(pattern)].reduce((total, [, number]) => total + Number(number), 0);
    const inScripts = /^cmdstat_evalsha:calls=[1-9]/m.test(text) ? "evalsha" : "set";
    return {
      cpu: sum(/^used_cpu_(?:user|sys)_main_thread:(\S+)/gm) * 1e6,
      commands: sum(new RegExp(`^cmdstat_${inScripts}:calls=\\d+,usec=(\\d+)`, "gm")),
    };
  }
}

/**
 * What a save costs a server that compares by itself, and what it would cost it by the script.
 *
 * @param {import("./index.js").Context} context
 * @returns {Promise<import("./index.js").Section>}
 */
export async function comparison({ quick, progress }) {
  const title = "A server that compares by itself";
  /** @type {string} */
  let binary;
  try {
    binary = await debianServer(debianServers["valkey-8.1"]);
  } catch {
    return { title, text: "Not measured: Valkey 8.1 cannot be had here.", tables: [], charts: [] };
  }
  const rounds = quick ? 4 : 30;
  const server = await startRedis({ binary });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connect(server.url)));
  try {
    const [admin, one, two, three] = /** @type {[Client, Client, Client, Client]} */ (clients);
    const contenders = [
      { name: "ours, by the script", store: CONTENDERS.ours(scriptsOnly(one)) },
      { name: "ours, compared by the server", store: CONTENDERS.ours(two) },
      { name: "SET alone, nothing compared", store: CONTENDERS["raw client, no timeout"](three) },
    ].map((contender) => ({
      ...contender,
      app: /** @type {number[]} */ ([]),
      cpu: /** @type {number[]} */ ([]),
      commands: /** @type {number[]} */ ([]),
    }));
    for (const { store } of contenders) await fill(store, DAY_MS);
    const load = { batches: 10, concurrency: 64 };
    for (let round = -2; round < rounds; round++) {
      for (const { store, app, cpu, commands } of alternate(contenders, Math.max(0, round))) {
        await admin.configResetStat();
        const spent = new ServerTime(admin);
        const prepare = OPERATIONS["set, loaded and changed"](store);
        const took = await time({ prepare, size: HOT }, load, spent);
        if (round < 0) continue;
        app.push(took);
        cpu.push(spent.cpu / (load.batches * HOT));
        commands.push(spent.commands / (load.batches * HOT));
      }
      progress("comparison", (round + 2) / (rounds + 2));
    }
    const [script] = /** @type {[(typeof contenders)[0]]} */ (contenders);
    const rows = contenders.map(({ name, app, cpu, commands }, place) => {
      const share = (/** @type {number[]} */ mine, /** @type {number[]} */ its) =>
        spread(mine.map((value, round) => value / /** @type {number} */ (its[round])));
      const ofCommands = share(commands, script.commands);
      const ofCpu = share(cpu, script.cpu);
      const goal = place === 1 ? `≤ ${GOAL} (${verdict(ofCpu.median <= GOAL)})` : "";
      return [
        name,
        perOperation(spread(commands).median),
        range(ofCommands),
        perOperation(spread(cpu).median),
        range(ofCpu),
        goal,
        perOperation(spread(app).median),
      ];
    });
    return {
      title,
      text: `Saves of loaded and changed sessions on ${await versionOf(binary)}, 64 at a time, ${rounds} rounds of
${load.batches * HOT}. A command's time is what \`INFO commandstats\` says; the server's is the CPU time of its main
thread, reading and answering included.`,
      tables: [
        {
          head: ["save", "command", "× script", "server", "× script", "goal", "by the clock"],
          rows,
        },
      ],
      charts: [],
    };
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await server.stop();
  }
}
