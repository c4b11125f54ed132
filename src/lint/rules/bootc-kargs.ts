import { KARGS_DIRECTORY, RUST_ARCHES, readKargs } from "../../boot/kargs.ts";
import { SealError } from "../../errors.ts";
import { readNode } from "../../tree/rootfs.ts";
import { quote, walk } from "../files.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

export const bootcKargsRule: Rule = {
  id: "bootc-kargs",
  severity: "error",
  finds: "bad syntax, unknown keys or unknown architectures in /usr/lib/bootc/kargs.d",
  applies: "any",
  check: async ({ rootfs }) => {
    // Throws if the file can't be read, which is not a fault of its content.
    for (const { node, components } of walk(rootfs, KARGS_DIRECTORY)) {
      if (node.kind === "regular") await readNode(rootfs, components, node);
    }
    try {
      const files = await readKargs(rootfs);
      if (files.length === 0) return notApplicable(`there are no files in ${KARGS_DIRECTORY}`);
      return checked(
        ...files.flatMap(({ path, architectures }) =>
          (architectures ?? [])
            .filter((arch) => !RUST_ARCHES.includes(arch))
            .map((arch) => ({
              path,
              message: `match-architectures has "${quote(arch)}", which is not an architecture: these arguments apply nowhere.`,
              fix: "use names that bootc knows, such as x86_64, aarch64 or riscv64.",
            })),
        ),
      );
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      const message = error.message.replace(`${rootfs.subject}: `, "");
      const path = message.match(/^usr\/lib\/bootc\/kargs\.d\/[^:]*\.toml/)?.[0] ?? KARGS_DIRECTORY;
      return checked({ path, message: `${message}; bootc refuses the image.`, fix: "correct the file." });
    }
  },
};
