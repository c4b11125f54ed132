/** Reads a sealed image and describes it: everything that an attestation of it states. */
import type { StatedImage, StatedProgram, StatedUki, StatedVerdict } from "../attest/sealed-image.ts";
import { cmdlinesOf } from "../boot/addons.ts";
import { digestsOf, findComposefsWords } from "../boot/cmdline.ts";
import { ukiKernelVersion, ukiOsRelease } from "../boot/efi-program.ts";
import type { HostVerdict } from "../boot/hosts.ts";
import { toHex } from "../bytes.ts";
import { seriesOf } from "../composefs/named-release.ts";
import { SERIES } from "../composefs/releases.ts";
import { inputError, SealError } from "../errors.ts";
import type { Layer } from "../io/oci/layer.ts";
import { openRootfs } from "../io/rootfs.ts";
import type { ImageSource } from "../io/rootfs-source.ts";
import type { ReadProgram } from "../lint/boot-programs.ts";
import { createContext, type LintContext } from "../lint/context.ts";
import { LayerHistory } from "../lint/layer-history.ts";
import { pePass } from "../lint/same-program.ts";
import { formatBlobDigest } from "../oci/digest.ts";
import { formatPlatform } from "../oci/platform.ts";
import type { StoredImage } from "../oci/schemas.ts";
import { readCertificateTable } from "../pe/certtable.ts";
import { sha256Hex } from "../pe/digest.ts";
import { loaderInfo } from "../pe/loader-info.ts";
import { sbatOf } from "../pe/sbat.ts";
import type { ParsedCertificate } from "../sign/certificate.ts";
import type { SecureBootPolicy } from "../sign/secure-boot-policy.ts";
import { readSignature } from "../sign/signature.ts";
import { verifyPePass } from "../sign/verify.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { type BootChoices, describeBoots } from "./describe-boots.ts";
import { imageBootPaths, readablePrograms } from "./image-boot-paths.ts";
import { ownPolicy } from "./own-keys.ts";
import type { Ports } from "./ports.ts";

/** How an image is described. */
export interface DescribeOptions extends Omit<BootChoices, "policy"> {
  /**
   * The keys of the firmware; `own`: those that the image has to enrol, if any; null: unknown, so PCR 4 and 7 are left
   * out.
   */
  readonly policy: SecureBootPolicy | "own" | null;
  /** Which image of several; undefined: the only one. */
  readonly platform: string | undefined;
}

/** What an image is. */
export interface DescribedImage {
  readonly image: StoredImage<Layer>;
  readonly predicate: StatedImage;
  /** Certificates of those who signed its programs. */
  readonly signers: readonly ParsedCertificate[];
}

/** Xattrs that can count in a digest. */
const XATTRS = ["security.capability", "user."];

/**
 * Reads all of an image.
 * @throws SealError `input` for an image that is damaged or not sealed, `check` when its UKI names a digest that its
 *   layers don't have, and when firmware with these keys would start none of its programs
 */
export async function describeImage(
  source: ImageSource,
  options: DescribeOptions,
  ports: Ports,
): Promise<DescribedImage> {
  const { platform, now } = options;
  const { cwd, remote } = ports;
  const read = async (algorithm: "sha256" | "sha512", paxOwners: "count" | "ignored", step: string) => {
    const { onProgress, done } = ports.progress.scan(`${step} ${source.subject}`);
    const opened = await openRootfs(source, {
      algorithm,
      paxOwners,
      xattrs: XATTRS,
      cwd,
      remote,
      platform,
      onProgress,
    });
    done(opened.stats);
    return opened;
  };
  const series = seriesOf("latest");
  const { rootfs, image, forms = [] } = await read("sha512", series.rules.paxOwners, "reading");
  const trees = new Map([[`sha512 ${series.rules.paxOwners}`, Promise.resolve(rootfs)]]);
  const context = createContext(rootfs, {
    certificates: [],
    mustBeSealed: true,
    now,
    seriesList: [series],
    sbatLevel: null,
    rootfsFor: (algorithm, owners) => {
      const key = `${algorithm} ${rootfs.headersDiffer === true ? owners : series.rules.paxOwners}`;
      const known = trees.get(key) ?? read(algorithm, owners, "reading again").then((again) => again.rootfs);
      trees.set(key, known);
      return known;
    },
    image: {
      config: image.config,
      steps: [],
      created: null,
      records: [],
      layers: image.layers.map(({ file, digest }, index) => ({
        digest: digest === null ? null : formatBlobDigest(digest),
        size: file.size,
        form: forms[index] ?? null,
      })),
      history: new LayerHistory(),
      mounted: null,
    },
    after: null,
  });
  const programs = await readablePrograms(rootfs, await context.programs());
  const ukis = programs.filter(({ role }) => role === "uki");
  if (ukis.length === 0)
    throw inputError(source.subject, "has no UKI in /boot/EFI/Linux: it is not sealed; seal image does it");
  const paths = await imageBootPaths(rootfs, programs);
  const { policy, boots } = await describeFor(rootfs, paths, options, ports);
  return {
    image,
    signers: programs.flatMap(({ path, pe }) => readCertificateTable(pe).map(({ data }) => signerOf(data, path))),
    predicate: {
      platform: formatPlatform(image.config),
      programs: programs.map((program) => describeProgram(program, now)),
      ukis: await Promise.all(ukis.map((uki) => describeUki(uki, context))),
      firmware: policy === null ? null : describePolicy(policy),
      boots,
    },
  };
}

/**
 * What machines measure, and for which keys of their firmware. Own keys that the image does not start with are not
 * those of its machines.
 */
async function describeFor(
  rootfs: Rootfs,
  paths: Parameters<typeof describeBoots>[0],
  options: DescribeOptions,
  ports: Ports,
) {
  const { policy } = options;
  if (policy !== "own") return { policy, boots: describeBoots(paths, { ...options, policy }, ports) };
  const own = await ownPolicy(rootfs);
  try {
    return { policy: own, boots: describeBoots(paths, { ...options, policy: own }, ports) };
  } catch (error) {
    if (own === null || !(error instanceof SealError) || error.code !== "check") throw error;
    return { policy: null, boots: describeBoots(paths, { ...options, policy: null }, ports) };
  }
}

function describeProgram({ path, pe }: ReadProgram, now: Date): StatedProgram {
  const pass = pePass(pe);
  const reports = verifyPePass(pass, { certificates: [], now }).signatures;
  const sbat = sbatOf(pe).flatMap(({ text }) => text.split("\n").filter((line) => line !== ""));
  return {
    path,
    sha256: sha256Hex(pe.file),
    authentihash: toHex(pass.hash("sha256")),
    sbat: sbat.length === 0 ? null : sbat,
    version: loaderInfo(pe),
    signatures: readCertificateTable(pe).map(({ data }, index) => ({
      subject: reports[index]?.subject ?? "",
      certificate: sha256Hex([signerOf(data, path).der]),
      intact: reports[index]?.outcome !== "invalid",
    })),
  };
}

/** @throws SealError `input` when the signature can't be read, or has no certificate of its signer */
function signerOf(data: Uint8Array, path: string): ParsedCertificate {
  const { signerCertificate } = readSignature(data, path).message;
  if (signerCertificate === null) throw inputError(path, "has a signature without the certificate of its signer");
  return signerCertificate;
}

async function describeUki({ path, pe }: ReadProgram, context: LintContext): Promise<StatedUki> {
  const osRelease = ukiOsRelease(pe);
  const cmdlines = cmdlinesOf(pe);
  const words = cmdlines.flatMap((cmdline) => digestsOf(findComposefsWords(cmdline)));
  const digests = new Map(words.map((word) => [JSON.stringify(word), word]));
  const composefs: StatedUki["composefs"] = [];
  for (const word of digests.values()) {
    const { digest, algorithm, erofs, insecure } = word;
    const match = await context.digests.explain(word);
    if (match === null) {
      throw new SealError(
        "check",
        `${context.rootfs.subject}: ${path}: names the digest ${digest.slice(0, 12)}…, which its layers do not have; seal lint says why`,
      );
    }
    const lines = SERIES.filter(({ name }) => match.lines.includes(name));
    composefs.push({ digest, algorithm, erofs, insecure, computedBy: lines.flatMap(({ releases }) => releases) });
  }
  const hosts = (await context.hosts()).filter((one) => one.path === path);
  return {
    path,
    kernel: ukiKernelVersion(pe),
    osRelease: osRelease === null ? null : Object.fromEntries(osRelease),
    cmdlines,
    composefs,
    hosts: hosts.map(({ verdicts }) => verdicts.map(describeVerdict)),
  };
}

function describeVerdict(verdict: HostVerdict): StatedVerdict {
  const { series, accepts, installs, boots, enforces } = verdict;
  const reasons = [accepts, installs, boots, enforces].flatMap((step) => step.reasons.map(({ id }) => id));
  return {
    releases: [...series.releases],
    accepts: accepts.ok,
    installs: installs.ok,
    boots: boots.ok,
    enforces: enforces.ok,
    reasons: [...new Set(reasons)],
  };
}

function describePolicy({ enforced, variables }: SecureBootPolicy): NonNullable<StatedImage["firmware"]> {
  return { enforced, variables: Object.fromEntries(variables.map(({ id, value }) => [id.name, sha256Hex([value])])) };
}
