// Redis and Valkey servers of other Debian suites than the machine's, which run beside it: nothing is
// installed, and root is not needed.
import { execFile } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * @typedef {object} DebianServer
 * @property {string} suite
 * @property {string} [base] the suite that has the libraries, where it is another one
 * @property {"redis-server" | "valkey-server"} package
 */

/** Every server that the suites have, by the name that `npm run test:servers` takes. @satisfies {Record<string, DebianServer>} */
export const debianServers = {
  "redis-8": { suite: "trixie", package: "redis-server" },
  "redis-sid": { suite: "sid", package: "redis-server" },
  "valkey-8.0": { suite: "bookworm-backports", base: "bookworm", package: "valkey-server" },
  "valkey-8.1": { suite: "trixie", package: "valkey-server" },
  "valkey-9": { suite: "sid", package: "valkey-server" },
};

/** Outside of node_modules: npm ci empties that. */
function cacheOf({ XDG_CACHE_HOME, HOME } = process.env) {
  return join(
    XDG_CACHE_HOME || join(HOME || homedir(), ".cache"),
    "redis-session-store",
    "servers",
  );
}

/** The archive that the machine itself uses, and the key that it trusts. */
async function archive() {
  const format = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY)";
  const { stdout } = await run("apt-get", ["indextargets", "--format", format]).catch(() => ({
    stdout: "",
  }));
  const main = /^(\S+) (?!\S*-(?:security|updates|backports))\S+ main(?: (\/\S+))?/m.exec(stdout);
  if (!main) throw new Error("this machine has no archive of Debian (apt-get update shows it)");
  const [, uri, key = "/usr/share/keyrings/debian-archive-keyring.gpg"] = main;
  return { uri, key };
}

/**
 * Downloads packages with all the libraries that they need.
 *
 * @param {DebianServer} server
 * @param {string} dir an empty folder, for apt's state and the packages
 * @returns {Promise<string[]>} the packages
 */
async function download({ suite, base, package: name }, dir) {
  const { uri, key } = await archive();
  for (const folder of ["state/lists/partial", "cache/archives/partial"]) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  const suites = base === undefined ? [suite] : [suite, base];
  const lines = suites.map((one) => `deb [signed-by=${key}] ${uri} ${one} main\n`);
  // apt sees these suites alone, and a machine without a package.
  writeFileSync(join(dir, "sources.list"), lines.join(""));
  writeFileSync(join(dir, "status"), "");
  const settings = Object.entries({
    "Dir::Etc::sourcelist": join(dir, "sources.list"),
    "Dir::Etc::sourceparts": "-",
    "Dir::State": join(dir, "state"),
    "Dir::State::status": join(dir, "status"),
    "Dir::Cache": join(dir, "cache"),
    "APT::Sandbox::User": "",
    "Acquire::Retries": "2",
    "Acquire::http::Timeout": "20",
  }).flatMap(([option, value]) => ["-o", `${option}=${value}`]);
  const limits = { cwd: dir, timeout: 300_000, maxBuffer: 1 << 26 };
  const apt = async (/** @type {string} */ command, /** @type {string[]} */ ...args) =>
    (await run(command, [...settings, ...args], limits)).stdout;

  await apt("apt-get", "update", "-qq");
  // The server itself is in the package of the tools.
  const wanted = new Set([name, name.replace("server", "tools")]);
  for (let asked = [...wanted]; asked.length > 0; ) {
    const printed = await apt("apt-cache", "depends", "--important", ...asked);
    asked = [...printed.matchAll(/Depends: ((?:lib|zlib)\S+)/g)].flatMap(([, library]) =>
      library === undefined || wanted.has(library) ? [] : [library],
    );
    for (const library of asked) wanted.add(library);
  }
  await apt("apt-get", "download", "-qq", ...wanted);
  return readdirSync(dir).flatMap((file) => (file.endsWith(".deb") ? [join(dir, file)] : []));
}

/** The folders below `dir` that hold a shared library. @param {string} dir @returns {string[]} */
function libraryFolders(dir) {
  const entries = readdirSync(dir, { withFileTypes: true });
  const below = entries.flatMap((entry) =>
    entry.isDirectory() ? libraryFolders(join(dir, entry.name)) : [],
  );
  return entries.some(({ name }) => /\.so(\.|$)/.test(name)) ? [dir, ...below] : below;
}

const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * A server of another suite, downloaded unless the cache has it.
 *
 * @param {DebianServer} server
 * @returns {Promise<string>} a program that runs it, as REDIS_SERVER_BINARY takes it
 * @throws where it cannot be had; the message says why
 */
export async function debianServer(server) {
  const home = join(cacheOf(), `${server.suite}-${server.package}`);
  const program = join(home, server.package);
  if (existsSync(program)) return program;
  const work = `${home}.${process.pid}`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    const root = join(work, "root");
    for (const file of await download(server, work)) await run("dpkg", ["-x", file, root]);
    const folders = libraryFolders(root).map((folder) => folder.replace(work, home));
    const loader = folders
      .flatMap((folder) =>
        readdirSync(folder.replace(home, work)).map((name) => join(folder, name)),
      )
      .find((path) => /\/ld-linux[^/]*$/.test(path));
    if (loader === undefined) throw new Error("its libc has no loader");
    const binary = join(home, "root/usr/bin", server.package);
    const line = [loader, "--library-path", folders.join(":"), binary].map(quoted).join(" ");
    // exec: the process that is started is the server itself.
    writeFileSync(join(work, server.package), `#!/bin/sh\nexec ${line} "$@"\n`);
    chmodSync(join(work, server.package), 0o755);
    for (const name of readdirSync(work)) {
      if (name !== "root" && name !== server.package) {
        rmSync(join(work, name), { recursive: true, force: true });
      }
    }
    // Whole or not at all; two that do the same at a time come to the same.
    rmSync(home, { recursive: true, force: true });
    renameSync(work, home);
    return program;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
