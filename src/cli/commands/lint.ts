/** `seal lint [ROOTFS]`: checks a root filesystem before and after sealing. */
import { z } from "zod";
import { LATEST_RELEASE, profileFor, type VerityAlgorithm } from "../../composefs/profile.ts";
import { readInput } from "../../io/files.ts";
import { openRootfs } from "../../io/rootfs.ts";
import { createContext } from "../../lint/context.ts";
import { rulesToJson, toJson } from "../../lint/report-json.ts";
import { toSarif } from "../../lint/report-sarif.ts";
import { type Painter, toText } from "../../lint/report-text.ts";
import { RULES } from "../../lint/rules/index.ts";
import { countFindings, type LintReport, runRules, selectRules } from "../../lint/run.ts";
import { parseRevocationLevel, type RevocationLevel } from "../../lint/sbat-level.ts";
import { parseCertificate } from "../../sign/certificate.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { DEFAULT_ROOTFS, ROOTFS_ARGUMENT } from "../options/digest.ts";
import { PLATFORM_OPTION, platformShape } from "../options/platform.ts";
import { readCertificates } from "../options/signing.ts";
import { renderTable } from "../report.ts";
import { startScan } from "../scan-progress.ts";
import { version } from "../version.ts";

const FORMATS = ["text", "json", "sarif"] as const;
/** What can count in a digest. */
const XATTRS = ["security.capability", "user."];

const schema = z.object({
  rootfs: z.string().default(DEFAULT_ROOTFS),
  fatalWarnings: z.boolean().default(false),
  skip: z.array(z.string()).default([]),
  list: z.boolean().default(false),
  format: z.enum(FORMATS, `give one of ${FORMATS.join(", ")}`).optional(),
  json: z.boolean().default(false),
  cert: z.array(z.string().min(1, "give a file")).default([]),
  bootc: z.string().default("latest"),
  sbatLevel: z.string().min(1, "give lines like systemd-boot,2, or @FILE").optional(),
  ...platformShape,
});
type Options = z.infer<typeof schema>;

export const lintCommand = defineCommand({
  examples: [
    ["/target", "checks a root filesystem; what applies depends on whether it is sealed"],
    ["/target --cert db.crt --fatal-warnings", "also who signed it; warnings fail too"],
    ["/target --format sarif", "for the code scanning of a CI system"],
    ["--list", "all rules"],
  ],
  arguments: [ROOTFS_ARGUMENT],
  options: [
    { flags: "--fatal-warnings", description: "exit with 1 for warnings too" },
    {
      flags: "--skip <id...>",
      description: "leave out a rule; repeatable",
      complete: RULES.map(({ id }) => id),
    },
    { flags: "--list", description: "show all rules instead of checking anything" },
    { flags: "--format <format>", description: "form of the report", default: "text", complete: FORMATS },
    { flags: "--json", description: "the same as --format json" },
    {
      flags: "--cert <file...>",
      description: "certificates, PEM or DER, that signatures must be by; repeatable",
      default: "any signer will do",
      complete: "file",
    },
    {
      flags: "--bootc <version>",
      description: "the bootc release that has to accept the digest, latest or next",
      default: `latest: ${LATEST_RELEASE}`,
      complete: ["latest", "next"],
    },
    {
      flags: "--sbat-level <text|@file>",
      description: "lowest good SBAT generations, lines like systemd-boot,2, as shim publishes them",
    },
    PLATFORM_OPTION,
  ],
  schema,
  run: lint,
});

async function lint(context: Context, options: Options): Promise<0 | 1> {
  const format = options.json ? "json" : (options.format ?? "text");
  if (options.list) {
    if (format === "text") printLine(context, ruleTable());
    else printJson(context, rulesToJson(RULES));
    return 0;
  }
  const rules = selectRules(RULES, options.skip);
  const report = await runRules(rules, await openTarget(context, options));
  switch (format) {
    case "text":
      printLine(context, toText(report, painter(context), context.host.stdout.columns));
      break;
    case "json":
      printJson(context, toJson(report));
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
  const profile = profileFor(options.bootc);
  const sbatLevel = await readLevel(context, options.sbatLevel);
  const trees = new Map<VerityAlgorithm, Promise<Rootfs>>();
  const rootfsFor = (algorithm: VerityAlgorithm) => {
    const known = trees.get(algorithm) ?? scan(context, options, algorithm);
    trees.set(algorithm, known);
    return known;
  };
  const rootfs = await rootfsFor("sha512");
  return createContext(rootfs, {
    certificates: certificates.map(parseCertificate),
    now: context.host.now(),
    profile,
    sbatLevel,
    rootfsFor,
  });
}

async function scan(
  context: Context,
  { rootfs: spec, platform }: Options,
  algorithm: VerityAlgorithm,
): Promise<Rootfs> {
  const { onProgress, done } = startScan(context, spec);
  const image = platform === undefined ? {} : { platform };
  const { host, remote } = context;
  const choices = { algorithm, xattrs: XATTRS, cwd: host.cwd, remote, onProgress, ...image };
  const { rootfs, stats } = await openRootfs(spec, choices);
  done(stats);
  return rootfs;
}

async function readLevel(context: Context, given: string | undefined): Promise<RevocationLevel | null> {
  if (given === undefined) return null;
  if (!given.startsWith("@")) return parseRevocationLevel(given, "--sbat-level");
  const file = given.slice(1);
  return parseRevocationLevel(new TextDecoder().decode(await readInput(userPath(context, file))), file);
}

function ruleTable(): string {
  const when = { unsealed: "before sealing", sealed: "sealed", any: "both" };
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
