export default async function teardown() {
  await /** @type {{ stopTestRedis?: () => Promise<void> }} */ (globalThis).stopTestRedis?.();
}
