// Keeps a map from growing: what was added the longest time ago goes.

/** Adds an entry as the newest one, and drops the oldest where there are more than `most`. */
export function addNewest<Key, Item>(
  map: Map<Key, Item>,
  key: Key,
  item: Item,
  most: number,
): void {
  map.delete(key);
  map.set(key, item);
  if (map.size <= most) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
