import { parseRootfsSource } from "../../io/rootfs-source.ts";
import { RULES } from "../../lint/rules/index.ts";
import { cacheOptions } from "../options/cache.ts";
import { bootcOption, rootfsArgument } from "../options/digest.ts";
import { optionGroup, type VerbValues } from "../options/group.ts";
import { type HtmlOptions, htmlOptions } from "../options/html.ts";
import { choice, either, flag, parsed, path, text } from "../options/option.ts";
import { allPlatformsOption, platformOptions } from "../options/platform.ts";
import { registryOptions } from "../options/registry.ts";
import { sbatLevelOption } from "../options/sbat-level.ts";
import { trustOptions } from "../options/trust.ts";

/** For what describes one image. */
const OF_ONE = "takes one image; choose it with --platform";

export const lintArguments = { rootfs: rootfsArgument };
export const lintOptions = optionGroup(null, {
  fatalWarnings: flag({ help: "exit with 1 on warnings, too" }),
  skip: text({
    many: true,
    placeholder: "id",
    complete: RULES.map(({ id }) => id),
    help: "skip this rule; repeatable",
  }),
  list: flag({ help: "list all rules and check nothing" }),
  format: choice(["text", "json", "sarif", "junit"], {
    placeholder: "format",
    default: "text",
    help: "format of the report: text, json, sarif or junit",
  }),
  json: flag({ help: "same as --format json" }),
  cert: path({
    env: true,
    many: true,
    help: "certificates, PEM or DER; each EFI program in /boot must be signed by one of them; repeatable",
    shownDefault: "any signer",
  }),
  sealed: either({
    help: "report an error if nothing is sealed",
    no: "accept a tree that is not sealed, regardless of --cert, --after and the image's label",
    shownDefault: "with --cert or --after, or if the label is containers.bootc=sealed",
  }),
  bootc: bootcOption,
  sbatLevel: sbatLevelOption,
  mounted: parsed(parseRootfsSource, {
    problem: "give a directory",
    placeholder: "dir",
    complete: "directory",
    help: "a mount of the image, to find where it differs from the layers",
    shownDefault: "no comparison",
  }),
  report: path({
    placeholder: "file",
    help: "report.json written when it was sealed: if the digest differs, shows whether only times differ",
    shownDefault: "the annotations written by seal image",
  }),
})
  .and(
    optionGroup("Next image", {
      after: parsed(parseRootfsSource, {
        problem: "give a root filesystem",
        placeholder: "rootfs",
        complete: "directory",
        help: "the image that the machines run now: does this one boot there, and can they roll back?",
        shownDefault: "not checked",
      }),
      ...trustOptions
        .without("cert")
        .with({
          db: {
            help: "contents of db in their firmware, as signature lists or .auth; repeatable",
            shownDefault: "the keys that --after enrols",
          },
          dbx: {
            help: "contents of dbx (revocations), in the same forms as --db; repeatable",
            shownDefault: "the keys that --after enrols",
          },
        })
        .each({ requires: "after" }).declarations,
    }),
  )
  .and(platformOptions)
  .and(registryOptions)
  .and(cacheOptions)
  .and(htmlOptions)
  .and(allPlatformsOption.with({ allPlatforms: { excludes: { mounted: OF_ONE, report: OF_ONE } } }));
export type LintValues = VerbValues<typeof lintArguments, typeof lintOptions>;
/** What says which root filesystem or image rules are run over, and what is known of it. */
export type TargetOptions = Omit<
  LintValues,
  "list" | "format" | "json" | "fatalWarnings" | "skip" | "allPlatforms" | keyof HtmlOptions
>;
