/** What session cookies and tokens are signed with: the same on every server, and known to nobody else. */
export const secret = process.env.SESSION_SECRET ?? "";
if (secret.length < 32) {
  throw new Error("set SESSION_SECRET, for example to what `openssl rand -hex 32` prints");
}
