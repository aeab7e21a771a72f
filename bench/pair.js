import { register } from "node:module";
import { connect } from "./contenders.js";
import { countSent, fillHot, heat } from "./hot.js";
import { alternate, time } from "./measure.js";
import { OPERATIONS, sizeFor } from "./operations.js";
import { serve } from "./processes.js";

/*
 * Two contenders in one process: that meet the same machine, and of which the compiler knows as much.
 * So differences show which are smaller than those between two processes with the same code.
 */

/** @typedef {import("./contenders.js").Name} Name */

/**
 * What a contender is called; `#silent` behind a name: of a build that does not ask whether anybody
 * listens to its channels; `#again`: of the same build once more.
 *
 * @typedef {Name | `${Name}#silent` | `${Name}#again`} Variant
 */

/** Gives each variant modules of its own, and changes those of the silent one. */
function hooks() {
  const variant = (/** @type {string | undefined} */ url) =>
    /#(silent|again)$/.exec(url ?? "")?.[0];
  const asked = /(export function isHeard\([^)]*\) \{)/;
  /** @type {import("node:module").ResolveHook} */
  async function resolve(specifier, context, next) {
    const mine = variant(specifier) ?? variant(context.parentURL);
    const resolved = await next(specifier, context);
    if (mine === undefined || !/^file:(?!.*\/node_modules\/)/.test(resolved.url)) return resolved;
    return { ...resolved, url: resolved.url.replace(/#.*$/, "") + mine };
  }
  /** @type {import("node:module").LoadHook} */
  async function load(url, context, next) {
    const loaded = await next(url, context);
    if (!url.endsWith("/dist/esm/base/channels.js#silent")) return loaded;
    const source = Buffer.from(/** @type {Uint8Array} */ (loaded.source)).toString();
    if (!asked.test(source)) throw new Error("isHeard is not there any more");
    return { ...loaded, source: source.replace(asked, "$1 return false;") };
  }
  return { resolve, load };
}

const source = `const hooks = ${hooks.toString()}; export const { resolve, load } = hooks();`;
register(`data:text/javascript,${encodeURIComponent(source)}`);

const [url, ...variants] = /** @type {[string, Variant, Variant]} */ (process.argv.slice(2));
const pair = await Promise.all(
  variants.map(async (variant) => {
    const [name, mark] = /** @type {[Name, string?]} */ (variant.split("#"));
    const client = await connect(url);
    /** @type {typeof import("./contenders.js")} */
    const { CONTENDERS } = await import(
      mark === undefined ? "./contenders.js" : `./contenders.js#${mark}`
    );
    return { name, client, contender: CONTENDERS[name](client), isCached: name.endsWith("cache") };
  }),
);

/**
 * @typedef {object} Took what one of them took
 * @property {number[]} spent µs an operation, by round
 * @property {number} commands that one operation sends
 */

/**
 * @typedef {object} Request what both do in turns
 * @property {import("./operations.js").OperationName} operation
 * @property {number} maxAge
 * @property {number} operations in a round
 * @property {number} rounds
 * @property {number} warm rounds that do not count
 */

serve(async (/** @type {Request} */ { operation, maxAge, operations, rounds, warm }) => {
  for (const { contender, isCached } of pair) await fillHot(contender, maxAge, isCached);
  // The second may have stored what the first had read.
  for (const { contender, isCached } of pair) await heat(contender, isCached);
  const cells = pair.map(({ name, client, contender }) => ({
    work: { size: sizeFor(name), prepare: OPERATIONS[operation](contender, maxAge) },
    client,
    spent: /** @type {number[]} */ ([]),
  }));
  for (let round = -warm; round < rounds; round++) {
    for (const { work, spent } of alternate(cells, round + warm)) {
      const batches = operations / work.size;
      const us = await time(work, { batches, concurrency: 64, by: "cpu" });
      if (round >= 0) spent.push(us);
    }
  }
  /** @type {Took[]} */
  const took = [];
  for (const { client, work, spent } of cells) {
    took.push({ spent, commands: await countSent(client, await work.prepare()) });
  }
  return took;
});
