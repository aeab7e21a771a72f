// Runs on its own, so that the caller can bound its time: fetches and builds
// Redis unless the cache has it, and prints the path as its last line.
import redisBinary from "redis-memory-server/lib/util/RedisBinary.js";

console.log(await redisBinary.default.getPath());
