/** `seal compute-digest [ROOTFS]`: the composefs digest of a root filesystem, as it is booted. */
import { z } from "zod";
import { writeImage } from "../../composefs/writer.ts";
import { SealError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import { digestRootfs } from "../../seal/digest.ts";
import { nameDigests } from "../../seal/name-digests.ts";
import { writeDumpfile } from "../../tree/dumpfile.ts";
import { sameRules } from "../../tree/transform.ts";
import { defineCommand } from "../command.ts";
import { printJson, printLine, userPath } from "../context.ts";
import { digestOptions, rootfsArgument } from "../options/digest.ts";
import { optionGroup } from "../options/group.ts";
import { flag, path } from "../options/option.ts";
import { portsOf } from "../ports.ts";
import { planFrom } from "./plan.ts";

/** What `--json` prints. */
export const computeDigestReport = z.strictObject({
  digests: z.array(
    z.strictObject({
      erofs: z.enum(["v0", "v1", "v2"]),
      algorithm: z.enum(["sha512", "sha256"]),
      digest: z.string().regex(/^([0-9a-f]{64}|[0-9a-f]{128})$/),
      /** Null: what serves all releases that were named does without it. */
      karg: z.string().nullable(),
    }),
  ),
  /** Regular files, each hardlinked one once. */
  files: z.int(),
  directories: z.int(),
  bytesHashed: z.int(),
  /** All images together. */
  imageBytes: z.int(),
  seconds: z.number(),
});

export const computeDigestCommand = defineCommand({
  examples: [
    ["/target", "the digest that the newest bootc expects"],
    ["/target --bootc 1.15 --bootc latest --karg", "kernel arguments for an old and the newest bootc"],
    ["dir:root --transform none --write-image-to root.erofs", "the image of a tree as it is"],
  ],
  arguments: { rootfs: rootfsArgument },
  options: digestOptions.and(
    optionGroup("Output", {
      karg: flag({ help: "print the kernel argument instead of the digest" }),
      writeDumpfileTo: path({ help: "write the transformed tree as a composefs dump file" }),
      writeImageTo: path({ help: "write the EROFS image" }),
      json: flag({ help: "print digests and figures as JSON" }),
    }),
  ),
  run: async (context, options) => {
    const start = context.host.elapsed();
    const plan = planFrom(context, options);
    const rules = plan.targets.map((target) => target.rules);
    const trees = rules.filter((one, index) => rules.findIndex((other) => sameRules(one, other)) === index);
    if (options.writeImageTo !== undefined) requireOne(plan.targets.length, "--write-image-to", "digests");
    if (options.writeDumpfileTo !== undefined) requireOne(trees.length, "--write-dumpfile-to", "trees");
    const computed = await digestRootfs(options.rootfs, plan, portsOf(context), { needs: "digest" });
    const { digests, stats } = computed;
    // Releases that exclude each other on a command line still have a digest each.
    const isNamed = options.karg || options.json || plan.hosts.length < 2;
    const named = isNamed ? await nameDigests(computed) : [];
    const [first] = digests;
    if (first !== undefined && options.writeDumpfileTo !== undefined) {
      await writeOutput(userPath(context, options.writeDumpfileTo), writeDumpfile(first.root));
    }
    if (first !== undefined && options.writeImageTo !== undefined) {
      await writeOutput(userPath(context, options.writeImageTo), writeImage(first.root, first));
    }
    if (options.json) {
      const seconds = (context.host.elapsed() - start) / 1000;
      const imageBytes = digests.reduce((sum, digest) => sum + digest.imageBytes, 0);
      const reports = digests.map(({ erofs, algorithm, digest }) => {
        const karg = named.find((one) => one.digest === digest)?.karg ?? null;
        return { erofs, algorithm, digest, karg };
      });
      printJson(context, computeDigestReport.parse({ digests: reports, ...stats, imageBytes, seconds }));
    } else if (options.karg) {
      for (const { karg } of named) printLine(context, karg);
    } else {
      // Releases that compute the same want it once.
      for (const digest of new Set(digests.map((one) => one.digest))) printLine(context, digest);
    }
    return 0;
  },
});

function requireOne(count: number, option: string, what: string): void {
  if (count === 1) return;
  throw new SealError("usage", `${option} takes one of ${count} ${what}; give one --erofs and one --bootc only`);
}
