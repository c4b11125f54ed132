/** `seal lint [ROOTFS]`: checks a root filesystem before and after sealing. */
import { z } from "zod";
import { namedRelease } from "../composefs/named-release.ts";
import type { Profile, VerityAlgorithm } from "../composefs/profile.ts";
import { SealError } from "../errors.ts";
import { readInput, SMALL_FILE } from "../io/read-input.ts";
import { openRootfs } from "../io/rootfs.ts";
import { isImage, type OpenedRootfs, type OpenOptions, type RootfsSource } from "../io/rootfs-source.ts";
import { createContext, type InstalledMachine } from "../lint/context.ts";
import { isLabelledSealed, type LintImage, type RecordOf } from "../lint/image.ts";
import { LayerHistory } from "../lint/layer-history.ts";
import { rulesToJson, toJson } from "../lint/report-json.ts";
import { toSarif } from "../lint/report-sarif.ts";
import { type Painter, toText } from "../lint/report-text.ts";
import { RULES } from "../lint/rules/index.ts";
import { countFindings, type LintReport, runRules, selectRules } from "../lint/run.ts";
import { parseRevocationLevel, type RevocationLevel } from "../lint/sbat-level.ts";
import type { RootfsReader } from "../lint/tree-digests.ts";
import { formatBlobDigest } from "../oci/digest.ts";
import { joinDatabases, type SignatureDatabase } from "../sign/database.ts";
import type { TransformRules } from "../tree/transform.ts";
import { defineCommand } from "./command.ts";
import { type Context, printJson, printLine, userPath } from "./context.ts";
import { bootcOption, rootfsArgument } from "./options/digest.ts";
import { optionGroup, type VerbValues } from "./options/group.ts";
import { choice, either, flag, path, text, value } from "./options/option.ts";
import { platformOptions } from "./options/platform.ts";
import { readCertificates } from "./options/signing.ts";
import { rootfsSource } from "./options/source.ts";
import { readDatabases, trustOptions } from "./options/trust.ts";
import { hostReportSchema } from "./sealing/host-report.ts";
import { readReport, recordOf, stepsOf } from "./sealing/record.ts";
import { startScan } from "./terminal/progress.ts";
import { renderTable } from "./terminal/report.ts";
import { version } from "./version.ts";

/** What can count in a digest. */
const XATTRS = ["security.capability", "user."];

const ARGUMENTS = { rootfs: rootfsArgument };
const OPTIONS = optionGroup(null, {
  fatalWarnings: flag({ help: "exit with 1 for warnings too" }),
  skip: text({
    many: true,
    placeholder: "id",
    complete: RULES.map(({ id }) => id),
    help: "leave out a rule; repeatable",
  }),
  list: flag({ help: "show all rules instead of checking anything" }),
  format: choice(["text", "json", "sarif"], { placeholder: "format", default: "text", help: "form of the report" }),
  json: flag({ help: "the same as --format json" }),
  cert: path({
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
  sbatLevel: text({
    placeholder: "text|@file",
    problem: "give lines like systemd-boot,2, or @FILE",
    help: "lowest good SBAT generations, lines like systemd-boot,2, as shim publishes them",
  }),
  mounted: value(rootfsSource("give a directory"), {
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
      after: value(rootfsSource(), {
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
  .and(platformOptions);
type Options = VerbValues<typeof ARGUMENTS, typeof OPTIONS>;

export const lintCommand = defineCommand({
  examples: [
    ["/target", "checks a root filesystem; what applies depends on whether it is sealed"],
    ["/target --cert db.crt --fatal-warnings", "also who signed it; warnings fail too"],
    ["/target --format sarif", "for the code scanning of a CI system"],
    ["oci:image:latest", "an image, with what only its layers show: hidden files, keys, its label"],
    ["oci:next --after oci:image --db db.esl", "does it start on machines that run the other, and can they go back?"],
    ["--list", "all rules"],
  ],
  arguments: ARGUMENTS,
  options: OPTIONS,
  run: lint,
});

/** `rules`: those that say why not, or without which there is no answer. */
const answered = z.strictObject({ ok: z.boolean().nullable(), rules: z.array(z.string()) });
const unanswered = z.strictObject({ id: z.string(), reason: z.string() });
/** Its shape is stable within a major version. */
export const lintJson = z.strictObject({
  findings: z.array(
    z.strictObject({
      id: z.string(),
      severity: z.enum(["error", "warning", "info"]),
      path: z.string(),
      message: z.string(),
      fix: z.string(),
    }),
  ),
  passed: z.array(z.string()),
  notApplicable: z.array(unanswered),
  couldNotRun: z.array(unanswered),
  hosts: z.array(z.strictObject({ path: z.string(), verdicts: z.array(hostReportSchema) })),
  /** Null without `--after`. */
  after: z.strictObject({ image: z.string(), starts: answered, back: answered }).nullable(),
});
/** What `--list` prints as JSON. */
export const ruleListJson = z.strictObject({
  rules: z.array(
    z.strictObject({
      id: z.string(),
      severity: z.enum(["error", "warning", "info"]),
      applies: z.enum(["unsealed", "sealed", "any", "image", "after"]),
      finds: z.string(),
    }),
  ),
});

async function lint(context: Context, options: Options): Promise<0 | 1> {
  const format = options.json ? "json" : options.format;
  if (options.list) {
    if (format === "text") printLine(context, ruleTable());
    else printJson(context, ruleListJson.parse(rulesToJson(RULES)));
    return 0;
  }
  const rules = selectRules(RULES, options.skip);
  const report = await runRules(rules, await openTarget(context, options));
  switch (format) {
    case "text":
      printLine(context, toText(report, painter(context), context.host.stdout.columns));
      break;
    case "json":
      printJson(context, lintJson.parse(toJson(report)));
      break;
    case "sarif":
      printJson(context, toSarif(report, rules, version()));
      break;
  }
  return failed(report, options.fatalWarnings) ? 1 : 0;
}

function failed(report: LintReport, fatalWarnings: boolean): boolean {
  return countFindings(report, "error") > 0 || (fatalWarnings && countFindings(report, "warning") > 0);
}

async function openTarget(context: Context, options: Options) {
  const certificates = (await Promise.all(options.cert.map((file) => readCertificates(context, file)))).flat();
  const profiles = profilesFor(context, options.bootc);
  const sbatLevel = await readLevel(context, options.sbatLevel);
  const { rootfs: source, mounted, report } = options;
  if (mounted !== undefined && !isImage(source)) {
    throw new SealError("usage", `--mounted compares an image with a mount of it; ${source.label} is no image`);
  }
  if (report !== undefined && !isImage(source)) {
    throw new SealError("usage", `--report tells what an image was made of; ${source.label} is no image`);
  }
  const reported = report === undefined ? null : await readReport(context, report);
  const firmware = { db: await readVariable(context, options.db), dbx: await readVariable(context, options.dbx) };
  const now = context.host.now();
  const target = await openForRules(context, source, options, profiles);
  const described = await describeImage(context, target, mounted ?? null, reported);
  const after = await openMachine(context, options, firmware, profiles);
  return createContext(target.opened.rootfs, {
    certificates,
    mustBeSealed: options.sealed ?? (certificates.length > 0 || after !== null || isLabelledSealed(described)),
    now,
    profiles,
    sbatLevel,
    rootfsFor: target.rootfsFor,
    image: described,
    after,
  });
}

/** The machines of `--after`; null without it. */
async function openMachine(
  context: Context,
  options: Options,
  firmware: Pick<InstalledMachine, "db" | "dbx">,
  profiles: readonly [Profile, ...Profile[]],
): Promise<InstalledMachine | null> {
  const { after: source, platform } = options;
  if (source === undefined) return null;
  const read = async (algorithm: VerityAlgorithm | null, paxOwners: TransformRules["paxOwners"]) => {
    const { rootfs } = await scan(context, source, { algorithm, paxOwners, observer: new LayerHistory(), platform });
    return rootfs;
  };
  // What its files hash to is asked of the next image only.
  const runs = createContext(await read(null, profiles[0].rules.paxOwners), {
    certificates: [],
    mustBeSealed: false,
    now: context.host.now(),
    profiles,
    sbatLevel: null,
    rootfsFor: read,
    image: null,
    after: null,
  });
  return { label: source.label, runs, ...firmware, profiles: options.bootc.length === 0 ? null : profiles };
}

/** A variable as files say that firmware has it; null: there are none that say. */
async function readVariable(context: Context, files: readonly string[]): Promise<SignatureDatabase | null> {
  return files.length === 0 ? null : ((await readDatabases(context, files)) ?? joinDatabases([]));
}

/** A root filesystem as rules look at it. */
interface RuleTarget {
  readonly opened: OpenedRootfs;
  readonly rootfsFor: RootfsReader;
  readonly history: LayerHistory;
}

/** Reads a root filesystem, and again only where a rule asks for other digests than its release's. */
async function openForRules(
  context: Context,
  source: RootfsSource,
  { platform }: Options,
  profiles: readonly [Profile, ...Profile[]],
): Promise<RuleTarget> {
  const image = isImage(source);
  const history = new LayerHistory();
  const { paxOwners } = profiles[0].rules;
  const first = await scan(context, source, { algorithm: "sha512", paxOwners, observer: history, platform });
  // Where the headers of the layers say the same, both readings of them are one.
  const keyOf = (algorithm: VerityAlgorithm, owners: TransformRules["paxOwners"]) =>
    image && first.rootfs.headersDiffer === true ? `${algorithm} ${owners}` : algorithm;
  const trees = new Map([[keyOf("sha512", paxOwners), Promise.resolve(first.rootfs)]]);
  const rootfsFor: RootfsReader = (algorithm, owners) => {
    const key = keyOf(algorithm, owners);
    // Everything that is wrong with the layers has been told of by the first reading.
    const read = () => scan(context, source, { algorithm, paxOwners: owners, observer: new LayerHistory(), platform });
    const known = trees.get(key) ?? read().then(({ rootfs }) => rootfs);
    trees.set(key, known);
    return known;
  };
  return { opened: first, rootfsFor, history };
}

/** Those that were named, each once; else the newest. */
function profilesFor(
  context: Context,
  [first = "latest", ...others]: readonly string[],
): readonly [Profile, ...Profile[]] {
  const named = (text: string): Profile => {
    const { profile, note } = namedRelease(text);
    if (note !== null) context.ui.warn(note);
    return profile;
  };
  const profile = named(first);
  return [profile, ...new Set(others.map(named).filter((other) => other !== profile))];
}

async function describeImage(
  context: Context,
  { opened: { rootfs, image, forms = [] }, history }: RuleTarget,
  mounted: RootfsSource | null,
  reported: RecordOf | null,
): Promise<LintImage | null> {
  if (image === null) return null;
  const { config } = image.documents;
  const { created } = config;
  return {
    config: image.config,
    steps: stepsOf(image, rootfs.label),
    created: typeof created === "string" ? created : null,
    records: [recordOf(image), reported].filter((record) => record !== null),
    layers: image.layers.map(({ file, digest, diffId }, index) => {
      const known = digest ?? diffId;
      return { digest: known === null ? null : formatBlobDigest(known), size: file.size, form: forms[index] ?? null };
    }),
    history,
    mounted: mounted === null ? null : (await scan(context, mounted, { algorithm: "sha512" })).rootfs,
  };
}

type ScanChoices = Pick<OpenOptions, "algorithm" | "paxOwners" | "observer" | "platform">;

async function scan(context: Context, source: RootfsSource, choices: ScanChoices): Promise<OpenedRootfs> {
  const { onProgress, done } = startScan(context, `reading ${source.label}`);
  const { host, remote } = context;
  const opened = await openRootfs(source, { xattrs: XATTRS, cwd: host.cwd, remote, onProgress, ...choices });
  done(opened.stats);
  return opened;
}

async function readLevel(context: Context, given: string | undefined): Promise<RevocationLevel | null> {
  if (given === undefined) return null;
  if (!given.startsWith("@")) return parseRevocationLevel(given, "--sbat-level");
  const file = given.slice(1);
  return parseRevocationLevel(new TextDecoder().decode(await readInput(userPath(context, file), SMALL_FILE)), file);
}

function ruleTable(): string {
  const when = { unsealed: "before sealing", sealed: "sealed", any: "both", image: "image", after: "--after" };
  return renderTable([
    ["RULE", "SEVERITY", "APPLIES", "FINDS"],
    ...RULES.map(({ id, severity, applies, finds }) => [id, severity, when[applies], finds]),
  ]);
}

function painter({ ui: { out } }: Context): Painter {
  return {
    error: (text) => out.red(text),
    warning: (text) => out.yellow(text),
    info: (text) => out.cyan(text),
    dim: (text) => out.dim(text),
  };
}
