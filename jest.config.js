const swc = {
  jsc: { target: "es2022", parser: { syntax: "typescript" } },
  module: { type: "commonjs" },
  sourceMaps: "inline",
};

/** @type {import("jest").Config} */
export default {
  testEnvironment: "node",
  testMatch: ["<rootDir>/__tests__/**/*.test.ts"],
  transform: { "^.+\\.[jt]s$": ["@swc/jest", swc] },
  // Sources import "./x.js", the name of what tsc makes of "./x.ts".
  moduleNameMapper: { "^(\\.{1,2}/.*)\\.js$": ["$1.ts", "$1.js"] },
  // With encryption in every store, and a search for what comes to light: `npm run test:sealed`.
  setupFilesAfterEnv: process.env.REDIS_SESSION_STORE_TEST_SEALED
    ? ["<rootDir>/__tests__/support/sealed.ts"]
    : [],
  globalSetup: "<rootDir>/tools/jest-setup.js",
  globalTeardown: "<rootDir>/tools/jest-teardown.js",
  // For a busy machine with a slow disk: the slowest takes a few seconds where nothing else runs.
  testTimeout: 120_000,
  maxWorkers: 2,
  // Node 20 keeps the modules of every file that has ended: a worker of two gigabytes does nothing but
  // collect garbage.
  workerIdleMemoryLimit: "800MB",
};
