export default async function teardown() {
  await /** @type {{ endTests?: () => Promise<unknown> }} */ (globalThis).endTests?.();
}
