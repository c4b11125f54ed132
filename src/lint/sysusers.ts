/**
 * The users and groups that systemd-sysusers makes, by its configuration in the tree (sysusers.d(5), "Configuration
 * Directories and Precedence").
 */
import { displayBytes, latin1, utf8 } from "../bytes.ts";
import type { Node } from "../tree/node.ts";
import { type Rootfs, readNode, readTreeFile } from "../tree/rootfs.ts";
import { nodeAt } from "./files.ts";

/** A file hides those of the same name in later ones. */
const DIRECTORIES = ["etc/sysusers.d", "run/sysusers.d", "usr/local/lib/sysusers.d", "usr/lib/sysusers.d"] as const;
const SUFFIX = ".conf";
/** A file that is a link to it hides the others and is itself ignored. */
const MASK = "/dev/null";

export interface SystemUsers {
  readonly users: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

/** @throws SealError `input` when a file can't be read */
export async function readSysusers(rootfs: Rootfs): Promise<SystemUsers> {
  const files = new Map<string, { readonly path: readonly Uint8Array[]; readonly node: Node }>();
  for (const directory of DIRECTORIES) {
    const found = nodeAt(rootfs, directory);
    if (found?.kind !== "directory") continue;
    for (const { name, node } of found.entries) {
      const key = latin1(name);
      if (!key.endsWith(SUFFIX) || files.has(key)) continue;
      files.set(key, { path: [...directory.split("/").map(utf8), name], node });
    }
  }
  const users = new Set<string>();
  const groups = new Set<string>();
  for (const { path, node } of files.values()) {
    for (const line of (await readText(rootfs, path, node)).split("\n")) readLine(line, users, groups);
  }
  return { users, groups };
}

/** `""` for what is masked, or not a file. */
async function readText(rootfs: Rootfs, path: readonly Uint8Array[], node: Node): Promise<string> {
  const decode = (bytes: Uint8Array | null) => new TextDecoder().decode(bytes ?? new Uint8Array());
  if (node.kind === "regular") return decode(await readNode(rootfs, path, node));
  if (node.kind !== "symlink" || displayBytes(node.target) === MASK) return "";
  return decode(await readTreeFile(rootfs, path.map(displayBytes).join("/")));
}

/** One line: `u NAME ID GECOS HOME SHELL`, `g NAME ID`, `m USER GROUP`, `r - RANGE`. */
function readLine(line: string, users: Set<string>, groups: Set<string>): void {
  const [type = "", name = "", id = ""] = fieldsOf(line);
  switch (type) {
    case "u":
    case "u!":
      users.add(name);
      // With a group of the same name, unless the field says `UID:GROUP`.
      if (!id.includes(":")) groups.add(name);
      return;
    case "g":
      groups.add(name);
      return;
    case "m":
      // Creates both unless another line does, the user with a group of the same name.
      users.add(name);
      groups.add(name).add(id);
  }
}

/** Fields in single or double quotes may have blanks. */
function fieldsOf(line: string): string[] {
  const text = line.trim();
  if (text.startsWith("#")) return [];
  const fields = text.match(/(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'])+/g) ?? [];
  return fields.map((field) => field.replaceAll(/["']/g, ""));
}
