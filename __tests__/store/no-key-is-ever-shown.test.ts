import { createPrivateKey, createSecretKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { type EncryptionOptions, RedisStore, type RedisStoreOptions } from "../../lib/index.js";
import { newClient } from "../support/store.js";

const bytes = randomBytes(32);
const base64 = bytes.toString("base64");
const valid: EncryptionOptions = { keys: { a: bytes }, write: "a", plaintextUntil: null };
const { client } = newClient();

/** Options as JavaScript passes them: anything may stand there. */
const make = (encryption: unknown) =>
  new RedisStore({ client, encryption } as unknown as RedisStoreOptions);

/** Everything that anybody can see of a value. */
const all = (value: unknown) =>
  inspect(value, { depth: null, showHidden: true, getters: true, maxStringLength: null }) +
  String((value as Error).message) +
  String((value as Error).stack) +
  JSON.stringify(value);

/** A key in all the forms in which somebody might print it. */
const forms = (key: Buffer) => [
  key.toString("base64"),
  key.toString("base64").slice(0, 20),
  key.toString("base64url").slice(0, 20),
  key.toString("hex").slice(0, 20),
  key.toString("latin1").slice(0, 10),
  [...key.subarray(0, 6)].join(", "),
  [...key.subarray(0, 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
];

function expectNoKey(value: unknown, ...more: string[]): void {
  const seen = all(value);
  for (const form of [...forms(bytes), ...more]) expect(seen).not.toContain(form);
}

function refused(encryption: unknown): Error & { code: string } {
  try {
    make(encryption);
  } catch (error) {
    return error as Error & { code: string };
  }
  throw new Error("was accepted");
}

const passphrase43 = "correct horse battery staple, they said once";
const rsa = createPrivateKey(
  generateKeyPairSync("ed25519").privateKey.export({ format: "pem", type: "pkcs8" }),
);

test.each([
  ["a Buffer", bytes],
  ["a Uint8Array", new Uint8Array(bytes)],
  ["a KeyObject", createSecretKey(bytes)],
  ["base64", base64],
])("no inspection of a store shows its key, given as %s", (_, key) => {
  for (const encryption of [
    { ...valid, keys: { a: key } },
    () => ({ ...valid, keys: { a: key } }),
  ]) {
    expectNoKey(make(encryption));
  }
});

test("options that hold a KeyObject show none either", () => {
  expectNoKey({ encryption: { ...valid, keys: { a: createSecretKey(bytes) } } });
});

test.each<[what: string, options: unknown]>([
  ["a key instead of the options", bytes],
  ["base64 instead of the options", base64],
  ["a KeyObject instead of the options", createSecretKey(bytes)],
  ["an array", [bytes]],
  ["true", true],
  ["false", false],
  ["a key instead of the keys", { ...valid, keys: bytes }],
  ["base64 instead of the keys", { ...valid, keys: base64 }],
  ["no keys", { write: "a", plaintextUntil: null }],
  ["an array of keys", { ...valid, keys: [base64] }],
  ["a key as its own id", { ...valid, keys: { [base64]: "a" } }],
  ["a key as a name beside the others", { ...valid, [base64]: 1 }],
  ["a key of 31 bytes", { ...valid, keys: { a: bytes.subarray(1) } }],
  ["a key of 33 bytes", { ...valid, keys: { a: Buffer.concat([bytes, bytes.subarray(31)]) } }],
  ["base64 without padding", { ...valid, keys: { a: base64.slice(0, 43) } }],
  ["base64url", { ...valid, keys: { a: bytes.toString("base64url") } }],
  ["base64 with a line", { ...valid, keys: { a: `${base64}\n` } }],
  ["base64 of other bits at its end", { ...valid, keys: { a: twinOf(base64) } }],
  ["hex", { ...valid, keys: { a: bytes.toString("hex") } }],
  ["a private key", { ...valid, keys: { a: rsa } }],
  [
    "a secret KeyObject of 16 bytes",
    { ...valid, keys: { a: createSecretKey(bytes.subarray(16)) } },
  ],
  ["a promise of a key", { ...valid, keys: { a: Promise.resolve(bytes) } }],
  ["a key instead of its id in write", { ...valid, write: base64 }],
  ["no write", { keys: { a: bytes }, plaintextUntil: null }],
  ["a write that is no key", { ...valid, write: "b" }],
  ["a write that every object has", { ...valid, write: "constructor" }],
  ["a write that is revoked", { ...valid, revoked: ["a"] }],
  ["a key in revoked", { ...valid, revoked: [base64] }],
  ["one id instead of a list in revoked", { ...valid, revoked: "a" }],
  ["no plaintextUntil", { keys: { a: bytes }, write: "a" }],
  ["a plaintextUntil in ms", { ...valid, plaintextUntil: Date.now() }],
  ["a plaintextUntil that is no date", { ...valid, plaintextUntil: new Date("x") }],
  ["a context that is no text", { ...valid, context: bytes }],
  ["a function that gives nothing", () => undefined],
  ["a function that gives a key", () => base64],
  ["a function that gives a promise", async () => valid],
])("refused without a trace of the key: %s", (_, options) => {
  const error = refused(options);
  expect(error.code).toBe("ERR_INVALID_OPTION");
  expect(error.message).toContain('"encryption"');
  expectNoKey(error);
});

/** Another text of the same bytes: its last character has bits to spare. */
function twinOf(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const last = alphabet[alphabet.indexOf(text.charAt(42)) + 1] as string;
  return `${text.slice(0, 42)}${last}=`;
}

test.each([
  "a",
  "a password",
  passphrase43.slice(0, 43),
  passphrase43.replace(/[^a-z]/g, "x").slice(0, 43),
  passphrase43.replace(/[^a-z]/g, "x").slice(0, 44),
  "x".repeat(32),
])("a passphrase is refused and not shown: %j", (passphrase) => {
  const error = refused({ ...valid, keys: { a: passphrase } });
  expect(error.code).toBe("ERR_INVALID_OPTION");
  expect(error.message).toMatch(/passphrase/);
  if (passphrase.length > 5) expectNoKey(error, passphrase.slice(0, 8));
});

test.each(["", "a b", "a.b", "ä", "a".repeat(33), "a/b", "\u0000"])(
  "the key id %j is refused",
  (id) => {
    expect(refused({ ...valid, keys: { [id]: bytes }, write: id }).code).toBe("ERR_INVALID_OPTION");
  },
);

test.each<[what: string, options: unknown]>([
  ["none", undefined],
  ["null", null],
  ["null as write", { keys: { a: bytes }, write: null }],
  ["null as write, and no key at all", { keys: {}, write: null, revoked: ["old"] }],
  ["a date", { ...valid, plaintextUntil: new Date() }],
  ["several keys", { ...valid, keys: { a: bytes, "2026-01_B": base64 }, revoked: ["0"] }],
  ["a context", { ...valid, context: "production" }],
  ["a function", () => valid],
])("accepted: %s", (_, options) => {
  make(options);
});
