import { readTreeFile } from "../../tree/rootfs.ts";
import { BASE_IMAGE_REFERENCE } from "../base-image.ts";
import type { LintContext } from "../context.ts";
import { nodeAt } from "../files.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

/** The first one that exists counts. */
const PLACES = ["etc/ostree/prepare-root.conf", "usr/lib/ostree/prepare-root.conf"];
/** Values of `enabled` in `[composefs]` that enable it; `maybe` does, as for ostree. */
const ENABLED = new Set(["signed", "verity", "yes", "true", "1", "maybe"]);

export const baseimageComposefsRule: Rule = {
  id: "baseimage-composefs",
  severity: "warning",
  finds: "a prepare-root.conf that is missing or does not enable composefs",
  applies: "any",
  check: async (context) => {
    const reference = nodeAt(context.rootfs, BASE_IMAGE_REFERENCE);
    return checked(
      await problemIn(context, ""),
      reference?.kind === "directory" ? await problemIn(context, `${BASE_IMAGE_REFERENCE}/`) : null,
    );
  },
};

async function problemIn({ rootfs }: LintContext, prefix: string): Promise<Problem | null> {
  const advice = "set enabled = verity in its section [composefs].";
  for (const place of PLACES) {
    const path = `${prefix}${place}`;
    const bytes = await readTreeFile(rootfs, path);
    if (bytes === null) continue;
    const settings = parseKeyFile(new TextDecoder().decode(bytes));
    if (["true", "1"].includes(settings.get("root.transient") ?? "")) return null;
    if (ENABLED.has(settings.get("composefs.enabled") ?? "")) return null;
    return { path, message: "It does not enable composefs, so bootc's installer refuses the image.", fix: advice };
  }
  const path = `${prefix}usr/lib/ostree/prepare-root.conf`;
  return {
    path,
    message: "It is missing, so nothing enables composefs for bootc's installer.",
    fix: `create it, and ${advice}`,
  };
}

/** Values by `group.key`; of several the last counts. */
function parseKeyFile(text: string): Map<string, string> {
  const values = new Map<string, string>();
  let group = "";
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[([^\]]*)\]/.exec(line);
    const setting = /^\s*([^#=[][^=]*?)\s*=\s*(.*?)\s*$/.exec(line);
    if (header !== null) group = header[1] ?? "";
    else if (setting !== null) values.set(`${group}.${setting[1]}`, setting[2] ?? "");
  }
  return values;
}
