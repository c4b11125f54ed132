import { someOf } from "../../text.ts";
import { displayPath, walk } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

/** What podman mounts into a build; the directories above it remain. */
const INJECTED = "run/systemd/resolve/stub-resolv.conf";

export const nonemptyRunTmpRule: Rule = {
  id: "nonempty-run-tmp",
  severity: "warning",
  finds: "anything in /run or /tmp",
  applies: "any",
  check: ({ rootfs }) => {
    const found = ["run", "tmp"].flatMap((directory) =>
      [...walk(rootfs, directory)].map(({ components }) => displayPath(components)),
    );
    const paths = found.filter((path) => !isInjected(path, found));
    const [first] = paths;
    if (first === undefined) return checked();
    return checked({
      path: first,
      message: `${someOf(paths)}: /run and /tmp are empty file systems on the running machine, so this is a leftover of the build.`,
      fix: "remove it, or mount a tmpfs there in the build: RUN --mount=type=tmpfs,target=/tmp.",
    });
  },
};

/** The injected file, and a directory above it with nothing else in it. */
function isInjected(path: string, all: readonly string[]): boolean {
  if (path === INJECTED) return true;
  if (!INJECTED.startsWith(`${path}/`)) return false;
  return all.every((other) => !other.startsWith(`${path}/`) || isInjected(other, all));
}
