// Reads which slots a primary of a cluster serves.
/** What a primary of a cluster says of its slots. */
export interface Layout {
  /** The slots that it serves: from, to. */
  readonly served: readonly (readonly [number, number])[];
  /** Whether it is taking over slots key by key. */
  readonly isImporting: boolean;
}

/**
 * The layout of the server that answered CLUSTER NODES.
 *
 * Its own line: id, address, flags, primary, two times, epoch, link, and then slots: `7`, `0-5460`,
 * `[7-<-id]` while it imports one and `[7->-id]` while it gives one away.
 * Source: https://redis.io/docs/latest/commands/cluster-nodes/
 */
export function layoutOf(nodes: string): Layout {
  const own = nodes.split("\n").find((line) => /^\S+ \S+ \S*\bmyself\b/.test(line)) ?? "";
  const slots = own.trim().split(" ").slice(8);
  return {
    served: slots
      .filter((slot) => !slot.startsWith("["))
      .map((slot) => {
        const [from, to = from] = slot.split("-").map(Number);
        return [from as number, to as number] as const;
      }),
    isImporting: slots.some((slot) => slot.includes("-<-")),
  };
}

/** Whether a primary may have got keys since it was as `before`. */
export function mayHaveGained(before: Layout, now: Layout): boolean {
  if (before.isImporting || now.isImporting) return true;
  return now.served.some(
    ([from, to]) => !before.served.some(([first, last]) => first <= from && to <= last),
  );
}
