/** How lint reads a root filesystem. */
import { openRootfs } from "../../io/rootfs.ts";
import type { OpenedRootfs, OpenOptions, RootfsSource } from "../../io/rootfs-source.ts";
import type { Context } from "../context.ts";
import { startScan } from "../terminal/progress.ts";

/** What can count in a digest. */
const XATTRS = ["security.capability", "user."];

type ScanChoices = Pick<OpenOptions, "algorithm" | "paxOwners" | "observer" | "platform">;

/** Reads a root filesystem and shows how far it is. */
export async function scan(context: Context, source: RootfsSource, choices: ScanChoices): Promise<OpenedRootfs> {
  const { onProgress, done } = startScan(context, `reading ${source.label}`);
  const { host, remote } = context;
  const opened = await openRootfs(source, { xattrs: XATTRS, cwd: host.cwd, remote, onProgress, ...choices });
  done(opened.stats);
  return opened;
}
