// Compiles the Lua of Redis scripts to JavaScript: the simulated server runs the library's own text.
// Twins of the scripts in JavaScript would be faster, but a twin is one more place where a rule is
// written, a mutant of a script would not reach it, and each would have to be compared with its script.
// This is compared with a real server once, for all scripts there are and will be.

import { createHash } from "node:crypto";
import { compileFunction } from "node:vm";

/** A Lua value; `undefined` is nil. Strings hold one character for each byte, as everywhere in here. */
export type Lua = undefined | boolean | number | string | LuaTable | LuaFunction;
/** Lua functions take and give several values. */
type LuaFunction = (...given: Lua[]) => Lua[];

/** What a script threw, or the server did inside of it. */
export class LuaError extends Error {
  constructor(readonly thrown: Lua) {
    super(typeof thrown === "string" ? thrown : "an error object");
  }
}

/** A Lua table; its list is counted from 1. */
export class LuaTable {
  readonly #list: Lua[] = [];
  readonly #rest = new Map<Lua, Lua>();

  static of(list: readonly Lua[]): LuaTable {
    const table = new LuaTable();
    for (const [index, value] of list.entries()) table.set(index + 1, value);
    return table;
  }

  get(key: Lua): Lua {
    const list = this.#list;
    return typeof key === "number" && key >= 1 && key <= list.length
      ? list[key - 1]
      : this.#rest.get(key);
  }

  set(key: Lua, value: Lua): void {
    const list = this.#list;
    if (typeof key === "number" && key >= 1 && key <= list.length) {
      list[key - 1] = value;
      while (list.length > 0 && list.at(-1) === undefined) list.pop();
    } else if (value === undefined) {
      this.#rest.delete(key);
    } else if (key === list.length + 1) {
      list.push(value);
      for (let next = list.length + 1; this.#rest.has(next); next++) {
        list.push(this.#rest.get(next));
        this.#rest.delete(next);
      }
    } else {
      this.#rest.set(key, value);
    }
  }

  get length(): number {
    return this.#list.length;
  }

  /** The values from 1 up to the first nil. */
  list(): Lua[] {
    const end = this.#list.indexOf(undefined);
    return end < 0 ? [...this.#list] : this.#list.slice(0, end);
  }

  entries(): [Lua, Lua][] {
    return [
      ...this.#list.map((value, index): [Lua, Lua] => [index + 1, value]),
      ...this.#rest.entries(),
    ].filter(([, value]) => value !== undefined);
  }
}

/** A script, ready to run with the server's `redis.call` and `redis.pcall`. */
export type Compiled = (server: ScriptServer, keys: string[], args: string[]) => Lua;

/** What a script may do to the server. */
interface ScriptServer {
  /** @throws LuaError where the server refuses the command */
  call(command: string[]): Lua;
}

/** Compiles a script. */
export function compile(source: string): Compiled {
  const body = new Parser(tokensOf(source)).chunk();
  const main = compileFunction(`"use strict"; ${body} return [];`, ["$", "g"]);
  return (server, keys, args) => (main(runtime, globalsOf(server, keys, args)) as Lua[])[0];
}

type Kind = "name" | "number" | "string" | "symbol" | "end";
interface Token {
  readonly kind: Kind;
  readonly text: string;
}

const TOKEN =
  /\s+|--\[\[[\s\S]*?\]\]|--[^\n]*|(?<name>[A-Za-z_]\w*)|(?<number>0x[\da-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?)|(?<string>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?<symbol>\.\.\.|\.\.|==|~=|<=|>=|[-+*/%^#<>=(){}[\];:,.])/gy;

function tokensOf(source: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const from = TOKEN.lastIndex;
    const groups = TOKEN.exec(source)?.groups;
    if (groups === undefined) throw new Error(`no Lua: ${source.slice(from, from + 30)}`);
    for (const kind of ["name", "number", "string", "symbol"] as const) {
      const text = groups[kind];
      if (text !== undefined) tokens.push({ kind, text });
    }
  }
  return [...tokens, { kind: "end", text: "the end" }];
}

const ESCAPES: Record<string, string> = { n: "\n", r: "\r", t: "\t", "0": "\0" };

/** What binds how strongly, to the left and to the right of the operator. */
const BINDING: Record<string, readonly [left: number, right: number]> = {
  or: [1, 2],
  and: [3, 4],
  "<": [5, 6],
  ">": [5, 6],
  "<=": [5, 6],
  ">=": [5, 6],
  "~=": [5, 6],
  "==": [5, 6],
  "..": [8, 7],
  "+": [9, 10],
  "-": [9, 10],
  "*": [11, 12],
  "/": [11, 12],
  "%": [11, 12],
  "^": [16, 15],
};
const UNARY = 14;

const OPERATORS: Record<string, (a: string, b: string) => string> = {
  or: (a, b) => `$.or(${a}, () => ${b})`,
  and: (a, b) => `$.and(${a}, () => ${b})`,
  "==": (a, b) => `(${a} === ${b})`,
  "~=": (a, b) => `(${a} !== ${b})`,
  "<": (a, b) => `$.less(${a}, ${b})`,
  ">": (a, b) => `$.less(${b}, ${a})`,
  "<=": (a, b) => `!$.less(${b}, ${a})`,
  ">=": (a, b) => `!$.less(${a}, ${b})`,
  "..": (a, b) => `($.text(${a}) + $.text(${b}))`,
  "+": (a, b) => `($.number(${a}) + $.number(${b}))`,
  "-": (a, b) => `($.number(${a}) - $.number(${b}))`,
  "*": (a, b) => `($.number(${a}) * $.number(${b}))`,
  "/": (a, b) => `($.number(${a}) / $.number(${b}))`,
  "%": (a, b) => `$.modulo(${a}, ${b})`,
  "^": (a, b) => `($.number(${a}) ** $.number(${b}))`,
};

/** An expression in JavaScript; one that is `many` gives a list of values. */
interface Expression {
  readonly code: string;
  readonly many: boolean;
}

const one = ({ code, many }: Expression): string => (many ? `${code}[0]` : code);

/** Writes JavaScript while it reads Lua. Locals are variables, scopes are blocks. */
class Parser {
  readonly #tokens: Token[];
  #at = 0;
  readonly #scopes: Set<string>[] = [new Set()];

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  chunk(): string {
    const code = this.#block();
    if (this.#next.kind !== "end") throw this.#unexpected();
    return code;
  }

  get #next(): Token {
    return this.#tokens[this.#at] as Token;
  }

  #unexpected(): Error {
    const near = this.#tokens.slice(Math.max(0, this.#at - 5), this.#at + 3);
    return new Error(`no Lua that this understands: ${near.map(({ text }) => text).join(" ")}`);
  }

  #is(text: string): boolean {
    return this.#next.text === text && this.#next.kind !== "string";
  }

  #take(text: string): boolean {
    if (!this.#is(text)) return false;
    this.#at++;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw this.#unexpected();
  }

  #name(): string {
    if (this.#next.kind !== "name") throw this.#unexpected();
    return (this.#tokens[this.#at++] as Token).text;
  }

  #declare(name: string): string {
    this.#scopes.at(-1)?.add(name);
    return `l_${name}`;
  }

  #scoped(names: string[], work: () => string): string {
    this.#scopes.push(new Set(names));
    const code = work();
    this.#scopes.pop();
    return code;
  }

  #block(names: string[] = []): string {
    return this.#scoped(names, () => {
      let code = "";
      while (!["end", "else", "elseif", "until"].some((word) => this.#is(word))) {
        if (this.#next.kind === "end") break;
        code += this.#statement();
      }
      return code;
    });
  }

  #statement(): string {
    if (this.#take(";")) return "";
    if (this.#take("return")) {
      const ends = ["end", "else", "elseif", "until", ";"].some((word) => this.#is(word));
      const code = ends || this.#next.kind === "end" ? "[]" : this.#list();
      this.#take(";");
      // So that what follows, unreachable or not, is a statement of its own.
      return `return ${code};\n`;
    }
    if (this.#take("break")) return "break;\n";
    if (this.#take("do")) return `{ ${this.#ended()} }\n`;
    if (this.#take("if")) return this.#if();
    if (this.#take("while")) {
      const condition = this.#condition();
      this.#expect("do");
      return `while (${condition}) { ${this.#ended()} }\n`;
    }
    if (this.#take("for")) return this.#for();
    if (this.#take("local")) return this.#local();
    const target = this.#suffixed();
    if (this.#is("=") || this.#is(",")) return this.#assignment(target);
    return `${target.code};\n`;
  }

  #ended(names: string[] = []): string {
    const code = this.#block(names);
    this.#expect("end");
    return code;
  }

  #condition(): string {
    return `$.truth(${one(this.#expression())})`;
  }

  #if(): string {
    let code = `if (${this.#condition()}) {`;
    this.#expect("then");
    code += this.#block();
    while (this.#take("elseif")) {
      code += `} else if (${this.#condition()}) {`;
      this.#expect("then");
      code += this.#block();
    }
    if (this.#take("else")) code += `} else {${this.#block()}`;
    this.#expect("end");
    return `${code}}\n`;
  }

  #for(): string {
    const names = [this.#name()];
    if (this.#take("=")) {
      const [from, to, step = "1"] = this.#expressions().map(one);
      this.#expect("do");
      const [name] = names;
      const body = this.#ended(names);
      return `for (const l_${name} of $.range(${from}, ${to}, ${step})) { ${body} }\n`;
    }
    while (this.#take(",")) names.push(this.#name());
    this.#expect("in");
    const list = this.#list();
    this.#expect("do");
    const variables = names.map((name) => `l_${name}`).join();
    return `for (const [${variables}] of $.each(${list})) { ${this.#ended(names)} }\n`;
  }

  #local(): string {
    if (this.#take("function")) {
      const name = this.#declare(this.#name());
      return `const ${name} = ${this.#function()};\n`;
    }
    const names = [this.#name()];
    while (this.#take(",")) names.push(this.#name());
    const values = this.#take("=") ? this.#list() : "[]";
    // After the values: they may name what is hidden from here on.
    const variables = names.map((name) => this.#declare(name)).join();
    return `let [${variables}] = ${values};\n`;
  }

  #assignment(first: Expression): string {
    const targets = [first];
    while (this.#take(",")) targets.push(this.#suffixed());
    this.#expect("=");
    const values = this.#list();
    if (targets.length > 1) throw this.#unexpected();
    const set = /^\$\.get\((.*)\)$/s.exec(first.code);
    if (set) return `$.set(${set[1]}, ${values}[0]);\n`;
    if (!first.code.startsWith("l_")) throw this.#unexpected();
    return `${first.code} = ${values}[0];\n`;
  }

  #function(): string {
    this.#expect("(");
    const names: string[] = [];
    let rest = "";
    while (!this.#take(")")) {
      if (this.#take("...")) rest = "...rest";
      else names.push(this.#name());
      this.#take(",");
    }
    const parameters = [...names.map((name) => `l_${name}`), ...(rest ? [rest] : [])].join();
    return `(${parameters}) => { ${this.#ended(names)} return []; }`;
  }

  #expressions(): Expression[] {
    const list = [this.#expression()];
    while (this.#take(",")) list.push(this.#expression());
    return list;
  }

  /** A list of values in JavaScript; the last expression may give many. */
  #list(): string {
    return this.#listOf(this.#expressions());
  }

  #listOf(expressions: Expression[]): string {
    const last = expressions.at(-1);
    if (expressions.length === 1 && last?.many) return last.code;
    const items = expressions.map((each) =>
      each === last && each.many ? `...${each.code}` : one(each),
    );
    return `[${items.join()}]`;
  }

  #expression(least = 0): Expression {
    let left = this.#operand();
    for (;;) {
      const { text, kind } = this.#next;
      const binding = kind === "string" ? undefined : BINDING[text];
      if (binding === undefined || binding[0] < least) return left;
      this.#at++;
      const right = this.#expression(binding[1]);
      const operator = OPERATORS[text] as (a: string, b: string) => string;
      left = { code: operator(one(left), one(right)), many: false };
    }
  }

  #operand(): Expression {
    const single = (code: string): Expression => ({ code, many: false });
    if (this.#take("not")) return single(`!$.truth(${one(this.#expression(UNARY))})`);
    if (this.#take("-")) return single(`(-$.number(${one(this.#expression(UNARY))}))`);
    if (this.#take("#")) return single(`$.length(${one(this.#expression(UNARY))})`);
    const { kind, text } = this.#next;
    if (kind === "number") {
      this.#at++;
      return single(String(Number(text)));
    }
    if (this.#take("nil")) return single("undefined");
    if (this.#take("true")) return single("true");
    if (this.#take("false")) return single("false");
    if (this.#take("...")) return { code: "rest", many: true };
    if (this.#take("function")) return single(this.#function());
    if (this.#is("{")) return single(this.#table());
    return this.#suffixed();
  }

  #string(): string {
    const { text } = this.#tokens[this.#at++] as Token;
    const value = text.slice(1, -1).replace(/\\(.)/gs, (_, char: string) => ESCAPES[char] ?? char);
    return JSON.stringify(value);
  }

  #table(): string {
    this.#expect("{");
    const listed: Expression[] = [];
    const named: string[] = [];
    while (!this.#take("}")) {
      const isNamed = this.#next.kind === "name" && this.#tokens[this.#at + 1]?.text === "=";
      if (isNamed) {
        const name = JSON.stringify(this.#name());
        this.#expect("=");
        named.push(`[${name}, ${one(this.#expression())}]`);
      } else listed.push(this.#expression());
      if (!this.#take(",")) this.#take(";");
    }
    return `$.table(${this.#listOf(listed)}, [${named.join()}])`;
  }

  #suffixed(): Expression {
    let expression: Expression;
    if (this.#next.kind === "string") expression = { code: this.#string(), many: false };
    else if (this.#take("(")) {
      expression = { code: one(this.#expression()), many: false };
      this.#expect(")");
    } else {
      const name = this.#name();
      const isLocal = this.#scopes.some((scope) => scope.has(name));
      const code = isLocal ? `l_${name}` : `$.get(g, ${JSON.stringify(name)})`;
      expression = { code, many: false };
    }
    for (;;) {
      if (this.#take(".")) {
        const name = JSON.stringify(this.#name());
        expression = { code: `$.get(${one(expression)}, ${name})`, many: false };
      } else if (this.#take("[")) {
        const key = one(this.#expression());
        this.#expect("]");
        expression = { code: `$.get(${one(expression)}, ${key})`, many: false };
      } else if (this.#take(":")) {
        const name = JSON.stringify(this.#name());
        expression = { code: `$.send(${one(expression)}, ${name}, ${this.#given()})`, many: true };
      } else if (this.#is("(") || this.#is("{") || this.#next.kind === "string") {
        expression = { code: `$.call(${one(expression)}, ${this.#given()})`, many: true };
      } else return expression;
    }
  }

  #given(): string {
    if (this.#next.kind === "string") return `[${this.#string()}]`;
    if (this.#is("{")) return `[${this.#table()}]`;
    this.#expect("(");
    if (this.#take(")")) return "[]";
    const list = this.#list();
    this.#expect(")");
    return list;
  }
}

function truth(value: Lua): boolean {
  return value !== undefined && value !== false;
}

function numberOf(value: Lua): number {
  const number = typeof value === "string" ? toNumber(value) : value;
  if (typeof number === "number") return number;
  throw new LuaError(`attempt to perform arithmetic on a ${typeOf(value)} value`);
}

function toNumber(value: Lua): Lua {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value.trim() === "") return undefined;
  const special: Record<string, number> = {
    inf: Number.POSITIVE_INFINITY,
    "+inf": Number.POSITIVE_INFINITY,
    "-inf": Number.NEGATIVE_INFINITY,
  };
  const number = special[value.toLowerCase()] ?? Number(value);
  return Number.isNaN(number) ? undefined : number;
}

/** As Lua writes a number: `%.14g`. */
function textOf(value: Lua): string {
  if (typeof value === "string") return value;
  if (typeof value === "number") return formatted(value, 14);
  throw new LuaError(`attempt to concatenate a ${typeOf(value)} value`);
}

/** A number as C writes it with so many digits. */
export function formatted(value: number, digits: number): string {
  if (value === Number.POSITIVE_INFINITY) return "inf";
  if (value === Number.NEGATIVE_INFINITY) return "-inf";
  if (Number.isNaN(value)) return "nan";
  if (Number.isInteger(value) && Math.abs(value) < 10 ** digits) return String(value);
  const [mantissa = "", exponent] = value.toPrecision(digits).split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
  if (exponent === undefined) return short;
  return `${short}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

function typeOf(value: Lua): string {
  if (value === undefined) return "nil";
  if (value instanceof LuaTable) return "table";
  return typeof value;
}

function call(callee: Lua, given: Lua[]): Lua[] {
  if (typeof callee === "function") return callee(...given);
  throw new LuaError(`attempt to call a ${typeOf(callee)} value`);
}

function get(table: Lua, key: Lua): Lua {
  if (table instanceof LuaTable) return table.get(key);
  throw new LuaError(`attempt to index a ${typeOf(table)} value`);
}

/** What compiled code calls. */
const runtime = {
  truth,
  number: numberOf,
  text: textOf,
  call,
  get,
  or: (a: Lua, b: () => Lua) => (truth(a) ? a : b()),
  and: (a: Lua, b: () => Lua) => (truth(a) ? b() : a),
  less(a: Lua, b: Lua): boolean {
    if (typeof a === "number" && typeof b === "number") return a < b;
    if (typeof a === "string" && typeof b === "string") return a < b;
    throw new LuaError(`attempt to compare ${typeOf(a)} with ${typeOf(b)}`);
  },
  modulo(a: Lua, b: Lua): number {
    const [dividend, divisor] = [numberOf(a), numberOf(b)];
    return dividend - Math.floor(dividend / divisor) * divisor;
  },
  length(value: Lua): number {
    if (typeof value === "string" || value instanceof LuaTable) return value.length;
    throw new LuaError(`attempt to get length of a ${typeOf(value)} value`);
  },
  set(table: Lua, key: Lua, value: Lua): void {
    if (!(table instanceof LuaTable))
      throw new LuaError(`attempt to index a ${typeOf(table)} value`);
    table.set(key, value);
  },
  send: (text: Lua, name: string, given: Lua[]) =>
    call(typeof text === "string" ? STRINGS.get(name) : get(text, name), [text, ...given]),
  table(list: Lua[], named: [string, Lua][]): LuaTable {
    const table = LuaTable.of(list);
    for (const [key, value] of named) table.set(key, value);
    return table;
  },
  *range(from: Lua, to: Lua, step: Lua): Generator<number> {
    const by = numberOf(step);
    const end = numberOf(to);
    for (let at = numberOf(from); by > 0 ? at <= end : at >= end; at += by) yield at;
  },
  *each([next, state, first]: Lua[]): Generator<Lua[]> {
    for (let key = first; ; ) {
      const values = call(next, [state, key]);
      [key] = values;
      if (key === undefined) return;
      yield values;
    }
  },
};

function library(functions: Record<string, LuaFunction>): LuaTable {
  const table = new LuaTable();
  for (const [name, value] of Object.entries(functions)) table.set(name, value);
  return table;
}

const MATHS = library({
  floor: (value) => [Math.floor(numberOf(value))],
  ceil: (value) => [Math.ceil(numberOf(value))],
  abs: (value) => [Math.abs(numberOf(value))],
  min: (...values) => [Math.min(...values.map(numberOf))],
  max: (...values) => [Math.max(...values.map(numberOf))],
});

/** `string.sub` and its like count from 1, and from the end below 0. */
const STRINGS = library({
  sub(value, from, to) {
    const text = textOf(value);
    const place = (at: number) => (at < 0 ? Math.max(0, text.length + at + 1) : at);
    const end = to === undefined ? text.length : place(numberOf(to));
    return [text.slice(Math.max(0, place(numberOf(from)) - 1), end)];
  },
  format: (pattern, ...given) => [formattedBy(textOf(pattern), given)],
  len: (value) => [textOf(value).length],
  lower: (value) => [textOf(value).toLowerCase()],
  upper: (value) => [textOf(value).toUpperCase()],
  byte: (value, at) => [textOf(value).charCodeAt(numberOf(at ?? 1) - 1)],
  find(value, wanted, from, plain) {
    const pattern = textOf(wanted);
    if (!truth(plain) && /[\^$()%.[\]*+\-?]/.test(pattern)) {
      throw new Error(`a pattern of Lua that this does not understand: ${pattern}`);
    }
    const at = textOf(value).indexOf(pattern, numberOf(from ?? 1) - 1);
    return at < 0 ? [undefined] : [at + 1, at + pattern.length];
  },
});

/** `string.format`, as far as it is used. */
function formattedBy(pattern: string, given: Lua[]): string {
  let next = 0;
  return pattern.replace(/%(0?)(\d*)(?:\.(\d+))?(.)/g, (whole, zero, width, digits, kind) => {
    if (kind === "%") return "%";
    const value = given[next++];
    let text: string;
    if (kind === "d") text = String(Math.trunc(numberOf(value)));
    else if (kind === "s") text = textOf(value);
    else if (kind === "f") text = numberOf(value).toFixed(Number(digits ?? 6));
    else if (kind === "g") text = formatted(numberOf(value), Number(digits ?? 6));
    else throw new Error(`a format of Lua that this does not understand: ${whole}`);
    return text.padStart(Number(width), zero === "" ? " " : "0");
  });
}

const TABLES = library({
  insert(table, ...given) {
    const list = table as LuaTable;
    if (given.length > 1) throw new Error("table.insert in the middle is not understood");
    list.set(list.length + 1, given[0]);
    return [];
  },
  concat: (table, between) => [
    (table as LuaTable)
      .list()
      .map(textOf)
      .join(between === undefined ? "" : textOf(between)),
  ],
  getn: (table) => [(table as LuaTable).length],
});

function unpack(table: Lua, from: Lua = 1, to: Lua = (table as LuaTable).length): Lua[] {
  const values: Lua[] = [];
  for (let at = numberOf(from); at <= numberOf(to); at++) values.push(get(table, at));
  return values;
}

const next: LuaFunction = (table, key) => {
  const entries = (table as LuaTable).entries();
  const at = key === undefined ? 0 : entries.findIndex(([each]) => each === key) + 1;
  return entries[at] ?? [undefined];
};

const GLOBALS: Record<string, Lua> = {
  math: MATHS,
  string: STRINGS,
  table: TABLES,
  unpack,
  next,
  tonumber: (value) => [toNumber(value)],
  tostring: (value) => [
    typeof value === "boolean" || value === undefined ? String(value ?? "nil") : textOf(value),
  ],
  type: (value) => [typeOf(value)],
  ipairs: (table) => [
    (list, at) => {
      const place = numberOf(at) + 1;
      const value = get(list, place);
      return value === undefined ? [undefined] : [place, value];
    },
    table,
    0,
  ],
  pairs: (table) => [next, table, undefined],
  select: (at, ...rest) => (at === "#" ? [rest.length] : rest.slice(numberOf(at) - 1)),
  error(thrown) {
    throw new LuaError(thrown);
  },
  pcall(callee, ...given) {
    try {
      return [true, ...call(callee, given)];
    } catch (error) {
      if (error instanceof LuaError) return [false, error.thrown];
      throw error;
    }
  },
};

function globalsOf(server: ScriptServer, keys: string[], args: string[]): LuaTable {
  const globals = new LuaTable();
  for (const [name, value] of Object.entries(GLOBALS)) globals.set(name, value);
  globals.set("KEYS", LuaTable.of(keys));
  globals.set("ARGV", LuaTable.of(args));
  const words = (given: Lua[]) =>
    given.map((word) => (typeof word === "number" ? formatted(word, 17) : textOf(word)));
  const reply = (name: string) => (text: Lua) => [runtime.table([], [[name, text]])];
  const redis = library({
    call: (...given) => [server.call(words(given))],
    pcall(...given) {
      try {
        return [server.call(words(given))];
      } catch (error) {
        if (error instanceof LuaError) return [runtime.table([], [["err", error.message]])];
        throw error;
      }
    },
    error_reply: reply("err"),
    status_reply: reply("ok"),
    sha1hex: (text) => [createHash("sha1").update(textOf(text), "latin1").digest("hex")],
    replicate_commands: () => [true],
  });
  globals.set("redis", redis);
  return globals;
}
