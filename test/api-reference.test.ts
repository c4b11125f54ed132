/** The reference of the library: every public name has a summary, and typedoc has nothing to warn of. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";

const project = fileURLToPath(new URL("..", import.meta.url));
const npm = (...args: readonly string[]) =>
  execFileSync("npm", [...args], { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** Public names whose declaration no comment is over, or one that begins with a tag. */
function withoutSummary(types: string): string[] {
  const [, list = ""] = /^export \{(.*)\};?$/m.exec(types) ?? [];
  const names = list.split(",").map(
    (one) =>
      one
        .trim()
        .replace(/^type /, "")
        .split(" as ")[0] ?? "",
  );
  const declared = types.matchAll(
    /(\/\*\*(?:(?!\*\/).)*\*\/\n)?^(?:declare )?(?:abstract )?(?:interface|type|const|class|function) ([\w$]+)/gms,
  );
  const summarized = [...declared].flatMap(([, comment = "", name = ""]) =>
    /^\/\*\*[\s*]*[^\s*@]/.test(comment) ? [name] : [],
  );
  return names.filter((name) => !summarized.includes(name));
}

describe("the public API", () => {
  beforeAll(() => {
    if (!existsSync(join(project, "dist/index.d.ts"))) npm("run", "--silent", "build");
  });

  it("says first of every name what it is", () => {
    const types = readFileSync(join(project, "dist/index.d.ts"), "utf8");
    expect(withoutSummary(types)).toEqual([]);
    const bare = types.replace(/\/\*\*(?:(?!\*\/).)*\*\/\n(?=declare function parsePe\b)/s, "");
    expect(withoutSummary(bare)).toEqual(["parsePe"]);
  });

  it("makes a reference without a warning", () => {
    npm("ci", "--prefix", "docs/api", "--no-audit", "--no-fund");
    npm("run", "--silent", "--prefix", "docs/api", "build");
    expect(existsSync(join(project, "docs/api/dist/index.html"))).toBe(true);
  });
});
