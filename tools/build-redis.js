// Runs on its own, so that the caller can bound its time: fetches and builds
// Redis unless the cache has it, and prints the path as its last line.
import { createRequire } from "node:module";

const { default: RedisBinary } = createRequire(import.meta.url)(
  "redis-memory-server/lib/util/RedisBinary",
);

console.log(await RedisBinary.getPath());
