/** The floor of digests of directories. */
import { isMainThread } from "node:worker_threads";
import { digestTree } from "./digest-tree.ts";
import { HASH } from "./verity.ts";

if (isMainThread) process.stdout.write(`${digestTree(process.argv[2] ?? "").length / HASH}\n`);
