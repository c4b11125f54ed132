import { someOf } from "../../text.ts";
import { type Rootfs, readTreeFile } from "../../tree/rootfs.ts";
import { quote } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";
import { readSysusers } from "../sysusers.ts";

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
    fix: "add them to a file in usr/lib/sysusers.d.",
  };
}

/** First fields of lines; null where there is no such file. */
async function readNames(rootfs: Rootfs, path: string): Promise<string[] | null> {
  const text = await readText(rootfs, path);
  if (text === null) return null;
  // Lines of the NIS compatibility mode start with a sign (nsswitch.conf(5)).
  return lines(text).flatMap((line) => (/^[+-]/.test(line) ? [] : [line.split(":", 1)[0] ?? ""]));
}

async function readText(rootfs: Rootfs, path: string): Promise<string | null> {
  const bytes = await readTreeFile(rootfs, path);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
}
