// Loads sources as modules of their own, with other globals and other modules than this process has.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { compileFunction } from "node:vm";
import { transformSync } from "@swc/core";

/** @typedef {{ file: string, from: string, to: string }} Patch replaces a text in a source, once */
/** @typedef {(exports: object, require: (name: string) => unknown, module: object, ...globals: unknown[]) => void} Body */

export const root = fileURLToPath(new URL("../../", import.meta.url));

/**
 * Compiled sources by path and names of globals: a library that is loaded for several simulated
 * processes is compiled once.
 * @type {Map<string, Body>}
 */
const bodies = new Map();

/** Loads sources as modules of their own. */
export class Loader {
  /** @type {Map<string, { exports: object }>} */
  #modules = new Map();
  #globals;
  #replaced;
  #isOwn;
  #patches;

  /**
   * @param {object} options
   * @param {Record<string, unknown>} [options.globals] - what modules see by these names
   * @param {Record<string, unknown>} [options.replaced] - modules that they get instead of others
   * @param {(file: string) => boolean} options.isOwn - what is loaded here; all else is this process's
   * @param {Patch[]} [options.patches]
   */
  constructor({ globals = {}, replaced = {}, isOwn, patches = [] }) {
    this.#globals = globals;
    this.#replaced = replaced;
    this.#isOwn = isOwn;
    this.#patches = patches;
  }

  /** @param {string} file */
  load(file) {
    const known = this.#modules.get(file);
    if (known !== undefined) return known.exports;
    /** @type {{ exports: object }} */
    const module = { exports: {} };
    this.#modules.set(file, module);
    const native = createRequire(file);
    const require = (/** @type {string} */ name) => {
      if (Object.hasOwn(this.#replaced, name)) return this.#replaced[name];
      const target = name.startsWith(".") ? sourceOf(resolve(dirname(file), name)) : undefined;
      const found = target ?? native.resolve(name);
      return this.#isOwn(found) ? this.load(found) : native(name);
    };
    const body = this.#body(file);
    body(module.exports, require, module, ...Object.values(this.#globals));
    return module.exports;
  }

  /**
   * Everything that the modules export, by name.
   * @returns {[string, unknown][]}
   */
  exports() {
    return [...this.#modules.values()].flatMap(({ exports }) => Object.entries(exports));
  }

  /** @param {string} file */
  #body(file) {
    const names = Object.keys(this.#globals);
    const id = `${file} ${names.join()}`;
    let body = bodies.get(id);
    if (body === undefined) {
      let source = readFileSync(file, "utf8");
      for (const patch of this.#patches) {
        if (resolve(root, patch.file) === file) source = patched(source, patch);
      }
      const { code } = transformSync(source, {
        filename: file,
        jsc: {
          target: "es2022",
          parser: { syntax: file.endsWith("ts") ? "typescript" : "ecmascript" },
        },
        module: { type: "commonjs", ignoreDynamic: true },
        sourceMaps: "inline",
        isModule: file.endsWith("ts") ? true : "unknown",
      });
      const parameters = ["exports", "require", "module", ...names];
      body = /** @type {Body} */ (compileFunction(code, parameters, { filename: file }));
      bodies.set(id, body);
    }
    return body;
  }
}

/**
 * @param {string} source
 * @param {Patch} patch
 */
export function patched(source, { file, from, to }) {
  const at = source.indexOf(from);
  if (at < 0) throw new Error(`${file} does not hold: ${from}`);
  if (source.includes(from, at + 1)) throw new Error(`${file} holds more than once: ${from}`);
  return source.slice(0, at) + to + source.slice(at + from.length);
}

/**
 * The file that an import means: sources import "./x.js", the name of what tsc makes of "./x.ts".
 * @param {string} path
 */
function sourceOf(path) {
  const typed = path.replace(/\.js$/, ".ts");
  return [typed, path, `${path}.js`].find((file) => existsSync(file) && /\.[jt]s$/.test(file));
}
