/**
 * Property tests of one run draw from one seed, which the reporter prints when something fails: SEAL_TEST_SEED=N
 * runs the same again.
 */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env["SEAL_TEST_SEED"]) });
