// Names a session in logs and pages without being its id.
import { createHash } from "node:crypto";

const DOMAIN = "redis-session-store handle";

/**
 * The handle of a session: `h` and the base64url of a SHA-256 over a fixed text, the prefix and the
 * session id, each as UTF-8 behind its length in four bytes. Nobody gets the id out of it, and the
 * same id under another prefix has another handle.
 */
export function handleOf(prefix: string, sid: string): string {
  const hash = createHash("sha256");
  for (const part of [DOMAIN, prefix, sid]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(part));
    hash.update(length).update(part);
  }
  return `h${hash.digest("base64url")}`;
}
