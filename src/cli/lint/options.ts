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

/** Said of what tells something of one image. */
const OF_ONE = "is of one image; name it with --platform";

export const lintArguments = { rootfs: rootfsArgument };
export const lintOptions = optionGroup(null, {
  fatalWarnings: flag({ help: "exit with 1 for warnings too" }),
  skip: text({
    many: true,
    placeholder: "id",
    complete: RULES.map(({ id }) => id),
    help: "leave out a rule; repeatable",
  }),
  list: flag({ help: "show all rules instead of checking anything" }),
  format: choice(["text", "json", "sarif", "junit"], {
    placeholder: "format",
    default: "text",
    help: "form of the report",
  }),
  json: flag({ help: "the same as --format json" }),
  cert: path({
    env: true,
    many: true,
    help: "certificates, PEM or DER, that signatures must be by; repeatable",
    shownDefault: "any signer will do",
  }),
  sealed: either({
    help: "it is an error that nothing is sealed",
    no: "it may be a base before sealing, whatever --cert, --after and its label say",
    shownDefault: "with --cert, --after, and for the label containers.bootc=sealed",
  }),
  bootc: bootcOption,
  sbatLevel: sbatLevelOption,
  mounted: parsed(parseRootfsSource, {
    problem: "give a directory",
    placeholder: "dir",
    complete: "directory",
    help: "a mount of the image that is checked, to tell where it differs from the layers",
    shownDefault: "nothing to compare with",
  }),
  report: path({
    placeholder: "file",
    help: "report.json of the sealing: says of an image with another digest whether only times differ",
    shownDefault: "what seal image put into its annotations",
  }),
})
  .and(
    optionGroup("Next image", {
      after: parsed(parseRootfsSource, {
        problem: "give a root filesystem",
        placeholder: "rootfs",
        complete: "directory",
        help: "the image that machines run which are to take this one: does it start there, and is there a way back?",
        shownDefault: "nothing is asked",
      }),
      ...trustOptions
        .without("cert")
        .with({
          db: {
            help: "what their firmware has in db, signature lists or .auth; repeatable",
            shownDefault: "what --after brings to enrol",
          },
          dbx: { help: "the same for dbx, what is revoked; repeatable", shownDefault: "what --after brings to enrol" },
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
