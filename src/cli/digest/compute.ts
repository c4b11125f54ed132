/** `seal compute-digest [ROOTFS]`: the composefs digest of a root filesystem, as it is booted. */
import { z } from "zod";
import { writeErofs } from "../../composefs/writer.ts";
import { SealError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import type { RootfsSource } from "../../io/rootfs-source.ts";
import { digestRootfs } from "../../seal/digest.ts";
import type { DigestPlan } from "../../seal/digest-plan.ts";
import { nameDigests } from "../../seal/name-digests.ts";
import { writeDumpfile } from "../../tree/dumpfile.ts";
import { sameRules } from "../../tree/transform.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { digestOptions, rootfsArgument } from "../options/digest.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { flag, path } from "../options/option.ts";
import { allPlatformsOption } from "../options/platform.ts";
import { writes } from "../options/risk.ts";
import { platformsOf } from "../platforms.ts";
import { portsOf } from "../ports.ts";
import { planFrom } from "./plan.ts";

/** What `--json` prints. */
export const computeDigestReportSchema = z.strictObject({
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

/** What `--json` prints with `--all-platforms`. */
export const computeDigestsReportSchema = z.strictObject({
  /** In the order of the index. */
  images: z.array(z.strictObject({ platform: z.string(), ...computeDigestReportSchema.shape })),
});

const ONE_FILE = "takes one image; choose it with --platform";
const OPTIONS = digestOptions
  .and(allPlatformsOption.with({ allPlatforms: { excludes: { writeDumpfileTo: ONE_FILE, writeImageTo: ONE_FILE } } }))
  .and(
    optionGroup("Output", {
      karg: flag({ help: "print the kernel argument instead of the digest" }),
      writeDumpfileTo: path({ risk: writes, help: "write the transformed tree as a composefs dump file" }),
      writeImageTo: path({ risk: writes, help: "write the EROFS image" }),
      json: flag({ help: "print digests and statistics as JSON" }),
    }),
  );
type Options = GroupValues<typeof OPTIONS>;

export const computeDigestCommand = defineCommand({
  examples: [
    ["/target", "the digest that the newest bootc expects"],
    ["/target --bootc 1.15 --bootc latest --karg", "kernel arguments for an older and the newest bootc"],
    ["oci:multi --all-platforms", "the digest of the image for each platform"],
    ["dir:root --transform none --write-image-to root.erofs", "the EROFS image of an untransformed tree"],
  ],
  arguments: { rootfs: rootfsArgument },
  options: OPTIONS,
  run: async (context, options) => {
    const plan = planFrom(context, options);
    const rules = plan.targets.map((target) => target.rules);
    const trees = rules.filter((one, index) => rules.findIndex((other) => sameRules(one, other)) === index);
    if (options.writeImageTo !== undefined) requireOne(plan.targets.length, "--write-image-to", "digests");
    if (options.writeDumpfileTo !== undefined) requireOne(trees.length, "--write-dumpfile-to", "trees");
    if (!options.allPlatforms) {
      const { report, lines } = await compute(context, options, options.rootfs, plan);
      if (options.json) printJson(context, computeDigestReportSchema.parse(report));
      else for (const line of lines) printLine(context, line);
      return 0;
    }
    const images: (Computed & { readonly platform: string })[] = [];
    for (const { name, source } of await platformsOf(context, options, options.rootfs)) {
      images.push({ ...(await compute(context, options, source, { ...plan, platform: name })), platform: name });
    }
    if (options.json) {
      const reports = images.map(({ platform, report }) => ({ platform, ...report }));
      printJson(context, computeDigestsReportSchema.parse({ images: reports }));
    } else {
      for (const { platform, lines } of images) for (const line of lines) printLine(context, `${platform} ${line}`);
    }
    return 0;
  },
});

/** What is printed of a root filesystem: the one or the other. */
interface Computed {
  readonly report: z.infer<typeof computeDigestReportSchema>;
  readonly lines: readonly string[];
}

async function compute(context: Context, options: Options, source: RootfsSource, plan: DigestPlan): Promise<Computed> {
  const start = context.process.elapsed();
  const computed = await digestRootfs(source, plan, portsOf(context, options), { needs: "digest" });
  const { digests, stats } = computed;
  // Releases that exclude each other on a command line still have a digest each.
  const isNamed = options.karg || options.json || plan.hosts.length < 2;
  const named = isNamed ? await nameDigests(computed) : [];
  const [first] = digests;
  if (first !== undefined && options.writeDumpfileTo !== undefined) {
    await writeOutput(userPath(context, options.writeDumpfileTo), writeDumpfile(first.root));
  }
  if (first !== undefined && options.writeImageTo !== undefined) {
    await writeOutput(userPath(context, options.writeImageTo), writeErofs(first.root, first));
  }
  const seconds = (context.process.elapsed() - start) / 1000;
  const imageBytes = digests.reduce((sum, digest) => sum + digest.imageBytes, 0);
  const reports = digests.map(({ erofs, algorithm, digest }) => {
    const karg = named.find((one) => one.digest === digest)?.karg ?? null;
    return { erofs, algorithm, digest, karg };
  });
  // Releases that compute the same want it once.
  const lines = options.karg ? named.map(({ karg }) => karg) : [...new Set(digests.map(({ digest }) => digest))];
  return { report: { digests: reports, ...stats, imageBytes, seconds }, lines };
}

function requireOne(count: number, option: string, what: string): void {
  if (count === 1) return;
  throw new SealError("usage", `${option} takes one of ${count} ${what}; give only one --erofs and one --bootc`);
}
