/**
 * `npm run bundle`: puts the built program with all that it needs to run into one directory, bundle/: the packages that
 * are not part of dist, and the node that runs this script. It runs where it is copied to, without npm or network;
 * Containerfile.tools takes it.
 *
 * usage: node scripts/bundle.ts [--arch ARCH] [DIRECTORY]
 *   --arch     x64 or arm64, the machines that it is for; default: this one's. For others it is bundle-ARCH/,
 *              with node and koffi's native code from the npm registry, by the hashes of `npm run dist`.
 *              Nothing of it is run here
 */
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { getPackage, koffiFor, nodeFor } from "./release/registry.ts";
import runtimes from "./release/runtimes.json" with { type: "json" };
import { ARCHITECTURES } from "./release/targets.ts";

interface Package {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const LAUNCHER = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/node" "$here/dist/cli/main.js" "$@"
`;
/** What rolldown.config.ts leaves out of dist. */
const EXTERNAL = ["koffi", "node-forge"];
/** Begins the names of the packages with koffi's native code, of which npm installs that for this machine. */
const NATIVE = "@koromix/koffi-";

const project = fileURLToPath(new URL("..", import.meta.url));
const { values, positionals } = parseArgs({ options: { arch: { type: "string" } }, allowPositionals: true });
const arch = ARCHITECTURES.find((one) => one === (values.arch ?? process.arch));
if (arch === undefined)
  throw new Error(`--arch: ${values.arch ?? process.arch} is none of ${ARCHITECTURES.join(", ")}`);
const own = arch === process.arch;
const output = resolve(positionals[0] ?? join(project, own ? "bundle" : `bundle-${arch}`));

/** The packages that a package needs, itself included, that are installed: optional ones are for other machines. */
function closure(name: string, found = new Set<string>()): Set<string> {
  const directory = join(project, "node_modules", name);
  if (found.has(name) || !existsSync(directory)) return found;
  found.add(name);
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(directory, "package.json"), "utf8"),
  ) as Package;
  for (const needed of Object.keys({ ...dependencies, ...optionalDependencies })) closure(needed, found);
  return found;
}

rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
// What V8 made for this machine is of no use to another.
cpSync(join(project, "dist"), join(output, "dist"), {
  recursive: true,
  filter: (path) => own || !path.endsWith(".code"),
});
for (const name of ["package.json", "LICENSE"]) copyFileSync(join(project, name), join(output, name));
for (const name of new Set(EXTERNAL.flatMap((one) => [...closure(one)]))) {
  if (!own && name.startsWith(NATIVE)) continue;
  cpSync(join(project, "node_modules", name), join(output, "node_modules", name), { recursive: true });
}
if (own) {
  copyFileSync(process.execPath, join(output, "node"));
  const license = join(project, `node_modules/node/node_modules/node-linux-${arch}/LICENSE`);
  if (existsSync(license)) copyFileSync(license, join(output, "node.LICENSE"));
} else {
  const cache = join(project, "node_modules/.cache/seal");
  const lock = JSON.parse(readFileSync(join(project, "package-lock.json"), "utf8")) as Parameters<typeof koffiFor>[1];
  const [node, koffi] = [nodeFor(arch, runtimes), koffiFor(arch, lock)];
  const files = join(getPackage(node, cache), node.name);
  copyFileSync(join(files, "bin/node"), join(output, "node"));
  copyFileSync(join(files, "LICENSE"), join(output, "node.LICENSE"));
  const native = join(getPackage(koffi, cache), koffi.name);
  cpSync(native, join(output, "node_modules", koffi.name), { recursive: true });
}
chmodSync(join(output, "node"), 0o755);
writeFileSync(join(output, "seal"), LAUNCHER, { mode: 0o755 });
