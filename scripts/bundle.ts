/**
 * `npm run bundle`: puts the built program with all that it needs to run into one directory, bundle/: the packages that are not
 * part of dist, and the node that runs this script. It runs where it is copied to, without npm or network; Containerfile.tools takes it.
 *
 * usage: node scripts/bundle.ts [DIRECTORY]
 */
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

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

const project = fileURLToPath(new URL("..", import.meta.url));
const output = resolve(process.argv[2] ?? join(project, "bundle"));

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
cpSync(join(project, "dist"), join(output, "dist"), { recursive: true });
for (const name of ["package.json", "LICENSE"]) copyFileSync(join(project, name), join(output, name));
for (const name of new Set(EXTERNAL.flatMap((one) => [...closure(one)]))) {
  cpSync(join(project, "node_modules", name), join(output, "node_modules", name), { recursive: true });
}
copyFileSync(process.execPath, join(output, "node"));
const license = join(project, `node_modules/node/node_modules/node-linux-${process.arch}/LICENSE`);
if (existsSync(license)) copyFileSync(license, join(output, "node.LICENSE"));
chmodSync(join(output, "node"), 0o755);
writeFileSync(join(output, "seal"), LAUNCHER, { mode: 0o755 });
