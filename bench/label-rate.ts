/**
 * Prints how many milliseconds of CPU time the SELinux labels of a tree take, in a process that has done nothing else:
 * its policy is read, and every node gets the label of its path. The tree is there before.
 *
 * usage: node bench/label-rate.ts CHECKOUT ROOTFS
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { Directory, Entry, Leaf, Metadata } from "../src/tree/node.ts";
import type { Rootfs } from "../src/tree/rootfs.ts";
import type { applyLabels } from "../src/tree/selinux/label.ts";
import type { loadPolicy } from "../src/tree/selinux/policy.ts";

const [checkout = "", path = ""] = process.argv.slice(2);
const selinux = join(checkout, "src/tree/selinux");
const label = (await import(join(selinux, "label.ts"))) as { readonly applyLabels: typeof applyLabels };
const policies = (await import(join(selinux, "policy.ts"))) as { readonly loadPolicy: typeof loadPolicy };

const NOTHING: Metadata = { mode: 0o644, uid: 0, gid: 0, mtimeSec: 0n, mtimeNsec: 0, xattrs: [] };

function readDirectory(directory: string): Directory {
  const entries = readdirSync(directory, { encoding: "latin1" })
    .sort()
    .map((name): Entry => ({ name: Buffer.from(name, "latin1"), node: readNode(`${directory}/${name}`) }));
  return { kind: "directory", ...NOTHING, entries };
}

/** What labels depend on: kinds, and what the policy is read by. */
function readNode(latin1: string): Directory | Leaf {
  const file = Buffer.from(latin1, "latin1");
  const stat = lstatSync(file);
  if (stat.isDirectory()) return readDirectory(latin1);
  if (stat.isSymbolicLink()) {
    return { kind: "symlink", ...NOTHING, target: readlinkSync(file, { encoding: "buffer" }) };
  }
  const content = { kind: "external", size: BigInt(stat.size), digest: null, payload: null } as const;
  return { kind: "regular", ...NOTHING, content };
}

const rootfs: Rootfs = {
  subject: path,
  root: readDirectory(path),
  view: "mounted",
  readContent: async (components) =>
    readFileSync(join(path, ...components.map((name) => Buffer.from(name).toString()))),
};
const start = process.cpuUsage();
const policy = await policies.loadPolicy(rootfs, { lookaround: "pcre2" });
if (policy === null) throw new Error(`${path} has no policy`);
label.applyLabels(rootfs.root, policy, "split");
const { user, system } = process.cpuUsage(start);
process.stdout.write(`${(user + system) / 1000}\n`);
