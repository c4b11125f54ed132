import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global-setup.ts"],
    reporters: ["default", "./test/support/count-reporter.ts"],
    // Workers that load native code (koffi) need processes of their own.
    pool: "forks",
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
