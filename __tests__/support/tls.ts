import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { type AddressInfo, connect, type Socket } from "node:net";
import { createServer } from "node:tls";

/** A server that takes TLS connections and hands on what they carry. */
export interface TlsServer {
  readonly port: number;
  /** The certificate that its clients have to trust, as PEM. */
  readonly ca: string;
  /** How many connections it has taken. */
  connections(): number;
  close(): Promise<void>;
}

/**
 * Puts TLS in front of a server on the loopback interface: not every build of Redis has its own. The
 * certificate is made for it and for nothing else.
 */
export async function startTls(target: number): Promise<TlsServer> {
  const { key, cert } = makeCertificate();
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer({ key, cert }, (outer) => {
    connections++;
    const inner = connect(target, "127.0.0.1");
    for (const [from, to] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      open.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        open.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    ca: cert,
    connections: () => connections,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

/** One value in the notation that certificates are written in (DER). */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const size = body.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const oid = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const time = (date: Date) =>
  der(0x17, Buffer.from(`${date.toISOString().replace(/\D/g, "").slice(2, 14)}Z`));
const bits = (bytes: Buffer) => der(0x03, Buffer.from([0]), bytes);

/** A certificate for 127.0.0.1 that signs itself, for a day (RFC 5280). */
function makeCertificate(): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(oid("2a8648ce3d040302")); // ECDSA with SHA-256
  const name = sequence(der(0x31, sequence(oid("550403"), der(0x0c, Buffer.from("localhost")))));
  const now = Date.now();
  const serial = randomBytes(8);
  serial[0] = 1;
  const address = der(0x87, Buffer.from([127, 0, 0, 1]));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    algorithm,
    name,
    sequence(time(new Date(now - 3_600_000)), time(new Date(now + 86_400_000))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    // Its address. It is no CA: that could not be a server at the same time.
    der(0xa3, sequence(sequence(oid("551d11"), der(0x04, sequence(address))))),
  );
  const cert = sequence(body, algorithm, bits(sign("sha256", body, privateKey)));
  const lines = cert.toString("base64").match(/.{1,64}/g) as string[];
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`,
  };
}
