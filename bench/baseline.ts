/** An older release to compare with: a commit, built in a worktree of its own as anybody would build it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const REPOSITORY = fileURLToPath(new URL("..", import.meta.url));
const built = new Map<string, string>();

/** The command line of seal as of a commit, with these arguments; see {@link checkoutAt}. */
export function commandAt(commit: string, ...args: readonly string[]): readonly string[] {
  return [process.execPath, join(checkoutAt(commit), "dist/cli/main.js"), ...args];
}

/**
 * The directory of the project as of a commit. It is built when it is first asked for, with the dependencies that it
 * had, and removed when the process ends.
 */
export function checkoutAt(commit: string): string {
  const known = built.get(commit) ?? build(commit);
  built.set(commit, known);
  return known;
}

function build(commit: string): string {
  process.stderr.write(`building ${commit} …\n`);
  const directory = mkdtempSync(join(tmpdir(), "seal-bench-baseline-"));
  const worktree = join(directory, "seal");
  const run = (command: string, args: readonly string[], cwd: string) =>
    execFileSync(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
  process.once("exit", () => {
    rmSync(directory, { recursive: true, force: true });
    run("git", ["worktree", "prune"], REPOSITORY);
  });
  run("git", ["worktree", "add", "--quiet", "--detach", worktree, commit], REPOSITORY);
  run("npm", ["ci", "--no-audit", "--no-fund"], worktree);
  run("npm", ["run", "--silent", "build"], worktree);
  return worktree;
}
