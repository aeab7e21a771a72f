/**
 * Reads addresses from the environment: `host:port`, separated by commas.
 *
 * @param {string} name of the variable
 * @param {string} standard
 */
export function addresses(name, standard) {
  return (process.env[name] ?? standard).split(",").map((address) => {
    const [host = "127.0.0.1", port = "6379"] = address.trim().split(":");
    return { host, port: Number(port) };
  });
}
