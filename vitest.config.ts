import { randomInt } from "node:crypto";
import { defineConfig } from "vitest/config";

/** Of all property tests of this run. */
const seed = process.env["SEAL_TEST_SEED"] ?? String(randomInt(2 ** 31));
if (!/^\d{1,10}$/.test(seed)) throw new Error("SEAL_TEST_SEED: give the number that a failed run has printed");
process.env["SEAL_TEST_SEED"] = seed;

export default defineConfig({
  test: {
    // What takes long is for `npm run test:long` only.
    ...(process.env["SEAL_TEST_LONG"] === "1"
      ? { include: ["test/long/**/*.test.ts"] }
      : { include: ["test/**/*.test.ts"], exclude: ["test/long/**"] }),
    globalSetup: ["test/support/global-setup.ts"],
    setupFiles: ["test/support/seed.ts"],
    reporters: ["default", "./test/support/count-reporter.ts"],
    // Workers that load native code (koffi) need processes of their own.
    pool: "forks",
    // Node strips types by WebAssembly, in each thread that runs sources. After a thousand calls of an import V8
    // compiles a wrapper for it, and then frees what threads left behind that have ended, which crashes: so it never
    // compiles one.
    execArgv: ["--wasm-wrapper-tiering-budget=1000000000"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
