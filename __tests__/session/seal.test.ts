import { createSecretKey, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EncryptionOptions } from "../../lib/index.js";
import { keyringOf } from "../../lib/session/index.js";
import { SealingKey } from "../../lib/session/seal.js";

/** Made by scripts/seal-vectors.js. */
const vectors = JSON.parse(readFileSync(join(__dirname, "seal-vectors.json"), "utf8")) as Record<
  "keyId" | "key" | "context" | "prefix" | "sid" | "plain" | "nonce" | "sealed",
  string
>[];

const SID = "3mUoZ0sHfXk1yS2t";
const PLAIN = '{"cookie":{"originalMaxAge":null},"name":"Zoë 😀"}';
const bytes = randomBytes(32);

function ring(options: Partial<EncryptionOptions> = {}, prefix = "sess:") {
  return keyringOf({ keys: { a: bytes }, write: "a", plaintextUntil: null, ...options }, prefix);
}

const sealed = ring().seal(PLAIN, SID) as string;

/** The code of the error that opening gives; `undefined` for what counts as missing; or the plain form. */
function opening(stored: string | Buffer, sid = SID, by = ring()): unknown {
  try {
    return by.refusalOf(stored) === undefined ? by.open(stored, sid) : undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** A sealed text with other bytes behind its key id. */
function withBytes(change: (bytes: Buffer) => Buffer): string {
  const head = sealed.slice(0, sealed.lastIndexOf(".") + 1);
  return head + change(Buffer.from(sealed.slice(head.length), "base64url")).toString("base64url");
}

describe("the known answers of an independent implementation", () => {
  test.each(vectors)("key id $keyId, context $context, prefix $prefix, sid $sid", (vector) => {
    const { keyId, key, context, prefix, sid, plain } = vector;
    const nonce = Buffer.from(vector.nonce, "base64url");
    const secret = createSecretKey(key, "base64");
    const sealing = new SealingKey(keyId, secret, context, prefix);
    expect(sealing.seal(plain, sid, nonce)).toBe(vector.sealed);
    const keys = { [keyId]: key };
    expect(opening(vector.sealed, sid, ring({ keys, write: keyId, context }, prefix))).toBe(plain);
  });
});

describe("what was sealed opens", () => {
  test("as the text that it was, and twice it is never the same", () => {
    expect(opening(sealed)).toBe(PLAIN);
    expect(ring().seal(PLAIN, SID)).not.toBe(sealed);
    expect(sealed).toMatch(/^rss1\.a\.[A-Za-z0-9_-]+$/);
    expect(sealed).not.toContain("cookie");
  });

  test("as the bytes that it was, where the serializer is binary", () => {
    const plain = randomBytes(100);
    const stored = ring().seal(plain, SID) as Buffer;
    expect(stored.toString()).toMatch(/^rss1\.a\.[A-Za-z0-9_-]+$/);
    expect(opening(stored)).toEqual(plain);
  });

  test("when it is empty, and when it is a megabyte", () => {
    for (const plain of ["", "x".repeat(2 ** 20)]) {
      expect(opening(ring().seal(plain, SID) as string)).toBe(plain);
    }
  });

  test.each([
    ["a Buffer", bytes],
    ["a Uint8Array", new Uint8Array(bytes)],
    ["a KeyObject", createSecretKey(bytes)],
    ["base64", bytes.toString("base64")],
  ])("under the key as %s", (_, key) => {
    expect(opening(sealed, SID, ring({ keys: { a: key } }))).toBe(PLAIN);
  });

  test("the key that was given may be wiped afterwards", () => {
    const given = Buffer.from(bytes);
    const made = ring({ keys: { a: given } });
    given.fill(0);
    expect(opening(sealed, SID, made)).toBe(PLAIN);
  });

  test.each(["constructor", "__proto__", "toString", "hasOwnProperty", "-", "_", "a".repeat(32)])(
    "under a key with the id %s",
    (id) => {
      const keys = JSON.parse(`{"${id}":"${bytes.toString("base64")}"}`) as Record<string, string>;
      const made = ring({ keys, write: id });
      const stored = made.seal(PLAIN, SID) as string;
      expect(stored.startsWith(`rss1.${id}.`)).toBe(true);
      expect(opening(stored, SID, made)).toBe(PLAIN);
      // And nothing that every object has is taken for a key.
      expect(opening(stored)).toBe("ERR_UNKNOWN_KEY");
    },
  );
});

describe("what was changed does not open", () => {
  test("whichever bit of whichever character", () => {
    for (let index = 0; index < sealed.length; index++) {
      for (let bit = 0; bit < 7; bit++) {
        const other = String.fromCharCode(sealed.charCodeAt(index) ^ (1 << bit));
        const changed = sealed.slice(0, index) + other + sealed.slice(index + 1);
        // Without its first characters it is a text that nobody sealed.
        const isPlain = !/^rss\d+\./.test(changed);
        expect([index, bit, opening(changed)]).toEqual([
          index,
          bit,
          isPlain ? undefined : expect.stringMatching(/^ERR_(CORRUPT_SESSION|UNKNOWN_KEY)$/),
        ]);
      }
    }
  });

  test("whichever byte behind the key id; the commitment is that of another key", () => {
    const { length } = Buffer.from(sealed.slice("rss1.a.".length), "base64url");
    for (let index = 0; index < length; index++) {
      const changed = withBytes((all) => {
        all.writeUInt8(all.readUInt8(index) ^ 0x80, index);
        return all;
      });
      const isCommitment = index >= 12 && index < 44;
      const code = isCommitment ? "ERR_UNKNOWN_KEY" : "ERR_CORRUPT_SESSION";
      expect([index, opening(changed)]).toEqual([index, code]);
    }
  });

  test("however short it is cut", () => {
    for (let length = 0; length < sealed.length; length++) {
      const cut = sealed.slice(0, length);
      const isPlain = length < "rss1.".length;
      expect([length, opening(cut)]).toEqual([length, isPlain ? undefined : "ERR_CORRUPT_SESSION"]);
    }
  });

  test.each([
    ["a character", (text: string) => `${text}A`],
    ["several", (text: string) => `${text}AAAA`],
    ["padding", (text: string) => `${text}=`],
    ["white space", (text: string) => `${text} `],
    ["a line", (text: string) => `${text}\n`],
    ["a zero", (text: string) => `${text}\0`],
    ["another part", (text: string) => `${text}.AAAA`],
    ["itself", (text: string) => text + text],
  ])("lengthened by %s", (_, lengthen) => {
    expect(opening(lengthen(sealed))).toBe("ERR_CORRUPT_SESSION");
    expect(opening(Buffer.from(lengthen(sealed)))).toBe("ERR_CORRUPT_SESSION");
  });

  test.each(["+", "/", "=", " ", "\n", "\0", ".", "%", "é", "€", "😀", "\u{ff21}"])(
    "with %j in the base64url, in the place of a character or beside it",
    (junk) => {
      for (const index of [8, 40, 70, sealed.length - 2]) {
        const [before, after] = [sealed.slice(0, index), sealed.slice(index)];
        for (const text of [before + junk + after, before + junk + after.slice(1)]) {
          expect([index, opening(text)]).toEqual([index, "ERR_CORRUPT_SESSION"]);
          expect([index, opening(Buffer.from(text))]).toEqual([index, "ERR_CORRUPT_SESSION"]);
        }
      }
    },
  );

  test("with the other alphabet of base64, or another text of the same bytes", () => {
    const all = Buffer.alloc(61, 0xff);
    expect(opening(`rss1.a.${all.toString("base64").replace(/=+$/, "")}`)).toBe(
      "ERR_CORRUPT_SESSION",
    );
    // The last character of 61 bytes holds two bits; the four others have to be zero.
    const text = ring().seal("x", SID) as string;
    const last = text.slice(-1);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const twin = alphabet[alphabet.indexOf(last) + 1] as string;
    const same = text.slice(0, -1) + twin;
    const decoded = (one: string) => Buffer.from(one.slice("rss1.a.".length), "base64url");
    expect(decoded(same)).toEqual(decoded(text));
    expect(opening(same)).toBe("ERR_CORRUPT_SESSION");
  });

  test.each([15, 14, 12, 8, 4, 1])("with a tag of %i bytes, as GCM would take it", (length) => {
    expect(opening(withBytes((all) => all.subarray(0, all.length - 16 + length)))).toBe(
      "ERR_CORRUPT_SESSION",
    );
    const empty = ring().seal("", SID) as string;
    expect(opening(empty.slice(0, -2))).toBe("ERR_CORRUPT_SESSION");
  });
});

describe("what was sealed in one place opens in no other", () => {
  test.each([
    ["session", opening(sealed, "another")],
    ["prefix", opening(sealed, SID, ring({}, "other:"))],
    ["context", opening(sealed, SID, ring({ context: "staging" }))],
    ["key of the same id", opening(sealed, SID, ring({ keys: { a: randomBytes(32) } }))],
    [
      "key id of the same key",
      opening(sealed.replace(".a.", ".b."), SID, ring({ keys: { b: bytes }, write: "b" })),
    ],
    ["cut of the same characters", opening(sealed, `:${SID}`, ring({}, "sess"))],
  ])("%s", (_, outcome) => {
    expect(outcome).toBe("ERR_UNKNOWN_KEY");
  });

  test("the commitment of one session in front of another's text helps nobody", () => {
    const other = ring().seal(PLAIN, "another") as string;
    const stolen = Buffer.from(other.slice("rss1.a.".length), "base64url");
    const mixed = withBytes((own) =>
      Buffer.concat([stolen.subarray(0, 12), own.subarray(12, 44), stolen.subarray(44)]),
    );
    expect(opening(mixed)).toBe("ERR_CORRUPT_SESSION");
  });
});

describe("a ring tells by the form", () => {
  test("a key that it has not, and a version that it does not know", () => {
    expect(opening(sealed, SID, ring({ keys: { b: bytes }, write: "b" }))).toBe("ERR_UNKNOWN_KEY");
    expect(opening(sealed.replace("rss1", "rss2"))).toBe("ERR_UNKNOWN_KEY");
    expect(opening("rss10.anything")).toBe("ERR_UNKNOWN_KEY");
  });

  test.each([
    "rss1.",
    "rss1..",
    "rss1.a",
    "rss1.a.",
    "rss1.a b.AAAA",
    `rss1.${"a".repeat(33)}.AAAA`,
    "rss1.ä.AAAA",
  ])("%j is sealed and broken", (text) => {
    expect(opening(text)).toBe("ERR_CORRUPT_SESSION");
  });

  test.each(["{}", "", "rss.", "rss1", "rss1{", "Rss1.", " rss1.", "rssx.", "rss-1.", "r", "null"])(
    "%j is not sealed",
    (text) => {
      expect(opening(text)).toBeUndefined();
      expect(ring().refusalOf(text)).toBe("plaintext");
      const before = ring({ plaintextUntil: new Date(Date.now() + 60_000) });
      expect(opening(text, SID, before)).toBe(text);
      expect(before.refusalOf(text)).toBeUndefined();
      expect(opening(text, SID, ring({ write: null }))).toBe(text);
    },
  );

  test("what was sealed under a revoked key counts as missing, with the key or without it", () => {
    const keys = { a: bytes, b: randomBytes(32) };
    for (const revoking of [
      ring({ keys, write: "b", revoked: ["a"] }),
      ring({ keys: { b: keys.b }, write: "b", revoked: ["a"] }),
      ring({ keys: {}, write: null, revoked: ["a"] }),
    ]) {
      expect(opening(sealed, SID, revoking)).toBeUndefined();
      expect(revoking.refusalOf(sealed)).toBe("revoked");
    }
  });

  test("what is not as it would write it is not current", () => {
    const keys = { a: bytes, b: randomBytes(32) };
    const isCurrent = (stored: string, by: ReturnType<typeof ring>) => [
      by.isCurrent(stored),
      by.isCurrent(Buffer.from(stored)),
    ];
    expect(isCurrent(sealed, ring({ keys }))).toEqual([true, true]);
    expect(isCurrent(sealed, ring({ keys, write: "b" }))).toEqual([false, false]);
    expect(isCurrent(sealed, ring({ keys, write: null }))).toEqual([false, false]);
    expect(isCurrent(PLAIN, ring({ keys }))).toEqual([false, false]);
    expect(isCurrent(PLAIN, ring({ keys, write: null }))).toEqual([true, true]);
    expect(ring({ keys, write: null }).seal(PLAIN, SID)).toBe(PLAIN);
  });
});
