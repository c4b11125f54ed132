import { someOf } from "../../text.ts";
import { type Rootfs, readNode, readTreeFile } from "../../tree/rootfs.ts";
import { filesIn, quote } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

const DIRECTORY = "usr/lib/sysusers.d";

export const sysusersRule: Rule = {
  id: "sysusers",
  severity: "warning",
  finds: "users and groups in /etc that no sysusers.d entry makes",
  applies: "any",
  check: async ({ rootfs }) => {
    const users = await readNames(rootfs, "etc/passwd");
    if (users === null) return notApplicable("there is no /etc/passwd");
    const known = await readSysusers(rootfs);
    return checked(
      problemOf("etc/passwd", "users", users, known.users),
      problemOf("etc/group", "groups", (await readNames(rootfs, "etc/group")) ?? [], known.groups),
    );
  },
};

function problemOf(path: string, what: string, names: readonly string[], known: ReadonlySet<string>): Problem | null {
  const missing = names.filter((name) => !known.has(name)).sort();
  if (missing.length === 0) return null;
  return {
    path,
    message: `No sysusers.d entry makes the ${what} ${someOf(missing.map(quote))}: machines that have changed their /etc will not get them with an update.`,
    fix: `add them to a file in ${DIRECTORY}.`,
  };
}

/** First fields of lines; null where there is no such file. */
async function readNames(rootfs: Rootfs, path: string): Promise<string[] | null> {
  const text = await readText(rootfs, path);
  if (text === null) return null;
  // Lines of the NIS compatibility mode start with a sign (nsswitch.conf(5)).
  return lines(text).flatMap((line) => (/^[+-]/.test(line) ? [] : [line.split(":", 1)[0] ?? ""]));
}

async function readSysusers(rootfs: Rootfs): Promise<{ users: Set<string>; groups: Set<string> }> {
  const users = new Set<string>();
  const groups = new Set<string>();
  for (const { components, node } of filesIn(rootfs, DIRECTORY, ".conf")) {
    for (const line of lines(new TextDecoder().decode(await readNode(rootfs, components, node)))) {
      const [type = "", entry = ""] = line.trim().split(/\s+/);
      const unquoted = entry.replace(/^"(.*)"$/, "$1");
      if (/^u!?$/.test(type)) users.add(unquoted);
      // A user gets a group of the same name.
      if (/^(?:u!?|g)$/.test(type)) groups.add(unquoted);
    }
  }
  return { users, groups };
}

async function readText(rootfs: Rootfs, path: string): Promise<string | null> {
  const bytes = await readTreeFile(rootfs, path);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
}
