import { displayBytes, latin1 } from "../../bytes.ts";
import { someOf } from "../../text.ts";
import { type Rootfs, readNode } from "../../tree/rootfs.ts";
import { displayPath, filesIn, nodeAt, walk } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

const DIRECTORIES = ["usr/lib/tmpfiles.d", "etc/tmpfiles.d"];

export const varTmpfilesRule: Rule = {
  id: "var-tmpfiles",
  severity: "warning",
  finds: "content in /var that no tmpfiles.d entry makes",
  applies: "any",
  check: async ({ rootfs }) => {
    if (nodeAt(rootfs, "var") === null) return notApplicable("there is no /var");
    const known = await readTmpfiles(rootfs);
    const missing: string[] = [];
    const files: string[] = [];
    for (const { components, node } of walk(rootfs, "var")) {
      const path = displayPath(components);
      // tmpfiles.d may call it /run.
      if (known.has(path) || path === "var/run") continue;
      (node.kind === "directory" || node.kind === "symlink" ? missing : files).push(path);
    }
    return checked(
      problemOf(missing, "add lines for them to a file in usr/lib/tmpfiles.d, or remove them."),
      problemOf(files, "move them to /usr and link or copy them with tmpfiles.d, or remove them."),
    );
  },
};

function problemOf(paths: readonly string[], fix: string): Problem | null {
  const [first] = paths;
  if (first === undefined) return null;
  return {
    path: first,
    message: `No tmpfiles.d entry makes ${someOf(paths)}: what an image has in /var reaches a machine when it is installed, and never with an update.`,
    fix,
  };
}

/** Paths that tmpfiles.d makes, without leading slash, as they are displayed. */
async function readTmpfiles(rootfs: Rootfs): Promise<Set<string>> {
  const paths = new Set<string>();
  for (const directory of DIRECTORIES) {
    // systemd masks a file by linking it to /dev/null.
    for (const { components, node } of filesIn(rootfs, directory, ".conf")) {
      for (const line of latin1(await readNode(rootfs, components, node)).split("\n")) {
        const path = pathOf(line);
        if (path !== null) paths.add(path);
      }
    }
  }
  return paths;
}

/**
 * The path of a line (tmpfiles.d(5)): the second field, perhaps quoted, with escapes of C; null where there is none.
 * @param line whose characters are bytes
 */
function pathOf(line: string): string | null {
  if (line.startsWith("#")) return null;
  const field = /^\s*\S+\s+(?:"((?:[^"\\]|\\.)*)"|(\S+))/.exec(line);
  const path = field?.[1] ?? field?.[2];
  if (path === undefined) return null;
  const text = path.replace(
    /\\(?:x([0-9a-fA-F]{2})|([0-3][0-7]{2})|(.))/g,
    (_, hex: string | undefined, octal: string | undefined, char: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      return { n: "\n", r: "\r", t: "\t" }[char] ?? char;
    },
  );
  return displayBytes(Buffer.from(text.replace(/^\/+/, "").replace(/\/+$/, ""), "latin1"));
}
