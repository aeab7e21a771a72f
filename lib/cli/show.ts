// The part "show": one session, its content as types and sizes unless values are asked for.
import { usage } from "./failure.js";
import { find, handlesOf } from "./find.js";
import { asJson } from "./list.js";
import type { Part } from "./part.js";
import { bytes, columns, escaped, placesOf, span } from "./text.js";
import { userOf } from "./user.js";

export const show: Part = async (connection, given, terminal) => {
  if (given.handles.length === 0) throw usage("show takes a handle, as list prints it");
  const handles = await handlesOf(connection, given, terminal);
  const [entry] = await find(connection, handles, given.user, terminal);
  if (entry === undefined) return 4;
  const places = [...placesOf(entry.session)].map(({ value, ...place }) =>
    given.values ? { ...place, value } : place,
  );
  const { userId } = connection.options;
  if (given.json) {
    const about = JSON.parse(asJson(entry, userId)) as object;
    await terminal.put(JSON.stringify({ ...about, places }));
    return 0;
  }
  const now = Date.now();
  const user = userOf(entry, userId);
  const { created, expires, keyId } = entry;
  const facts = [
    ["handle", entry.handle],
    ...(user === undefined ? [] : [["user", escaped(user)]]),
    ["created", created === null ? "not recorded" : `${span(now - created.getTime())} ago`],
    ["ends", expires === null ? "never" : `in ${span(expires.getTime() - now)}`],
    ["size", bytes(entry.bytes)],
    ["sealed", keyId === null ? "no" : `under the key "${keyId}"`],
  ];
  for (const [name = "", text = ""] of facts) {
    await terminal.put(`${terminal.paint("dim", name.padEnd(8))} ${text}`);
  }
  await terminal.put("");
  const widest = places.reduce((most, { path }) => Math.max(most, escaped(path).length), 0);
  const widths = [Math.min(60, widest), 8, 8];
  for (const { path, type, bytes: size, ...rest } of places) {
    const value = "value" in rest ? escaped(rest.value as string) : "";
    await terminal.put(columns([escaped(path), type, bytes(size), value], widths));
  }
  return 0;
};
