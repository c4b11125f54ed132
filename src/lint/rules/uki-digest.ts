import { type CmdlineDigest, findComposefsDigests } from "../../boot/cmdline.ts";
import { composefsDigests } from "../../composefs/digest.ts";
import { type ErofsVersion, PROFILES, type Profile, type VerityAlgorithm } from "../../composefs/profile.ts";
import { SealError } from "../../errors.ts";
import type { TransformRules } from "../../tree/transform.ts";
import { isRead } from "../boot-programs.ts";
import { cmdlinesOf } from "../cmdlines.ts";
import type { LintContext } from "../context.ts";
import { quote } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

/** In the order in which they are likely. */
const TIMES = ["exact", "seconds"] as const;
type Times = (typeof TIMES)[number];

export const ukiDigestRule: Rule = {
  id: "uki-digest",
  severity: "error",
  finds: "a digest on the cmdline that is not the one of this root filesystem",
  applies: "sealed",
  check: async (context) => {
    const ukis = await context.ukis();
    if (ukis.length === 0) return notApplicable("there is no UKI");
    const digests = new TreeDigests(context);
    const problems: Problem[] = [];
    for (const uki of ukis) {
      if (uki.kind === "broken") {
        problems.push({
          path: uki.path,
          message: `It can't be read (${uki.reason}), so neither firmware nor anybody else finds a digest in it.`,
          fix: "write the UKI again.",
        });
      }
      if (!isRead(uki)) continue;
      const cmdlines = cmdlinesOf(uki.pe);
      for (const cmdline of cmdlines.length === 0 ? [""] : cmdlines) {
        problems.push(...(await problemsOf(uki.path, cmdline, digests, context)));
      }
    }
    return checked(...problems);
  },
};

async function problemsOf(
  path: string,
  cmdline: string,
  trees: TreeDigests,
  { profile }: LintContext,
): Promise<Problem[]> {
  const { digests, malformed } = findComposefsDigests(cmdline);
  const problems: Problem[] = malformed.map(({ text, reason }) => ({
    path,
    message: `Its cmdline has ${quote(text)}: ${reason}. The machine will not start with it.`,
    fix: "build the UKI again with the argument that seal compute-digest --karg prints.",
  }));
  const [first] = digests;
  if (first === undefined) {
    if (malformed.length > 0) return problems;
    const message =
      "Its cmdline has no composefs digest: nothing ties the UKI to this root filesystem, and nothing mounts it.";
    return [{ path, message, fix: "build it with --rootfs, which adds the digest." }];
  }
  for (const digest of digests) {
    if (await trees.isRight(digest, profile)) return problems;
  }
  const wanted = await trees.compute(
    { erofs: first.erofs ?? profile.erofs, rules: profile.rules },
    first.algorithm,
    "exact",
  );
  const matches = await trees.explain(first);
  const demand = `The UKI demands ${shorten(first.digest)}, but bootc ${releasesOf(profile)} computes ${shorten(wanted)} of this root filesystem: it will not boot.`;
  problems.push({ path, ...(matches === null ? changed(demand) : otherRelease(demand, matches, profile)) });
  return problems;
}

function otherRelease(demand: string, matches: Match, wanted: Profile): Omit<Problem, "path"> {
  const { erofs, times, lines } = matches;
  const cut = times === "seconds" ? " with times cut to whole seconds" : "";
  const who = lines.length === 0 ? "which no bootc release computes" : `bootc ${lines.join(", ")}`;
  const others = `hosts with bootc ${releasesOf(wanted)} compute another`;
  return {
    message: `${demand} The digest is right for EROFS ${erofs}${cut}, ${who}; ${others}.`,
    fix:
      lines.length === 0
        ? "seal again without --erofs."
        : `seal again for the hosts' release (--bootc ${wanted.releases.at(-1)}), or lint with --bootc ${lines.at(-1)?.split("–").at(-1)} when that is what they run.`,
  };
}

function changed(demand: string): Omit<Problem, "path"> {
  return {
    message: `${demand} No known release or format gives the demanded digest: the root filesystem was changed after it was computed, or before (by taking the kernel out, for one).`,
    fix: "seal again, as the last step, from the tree as it is shipped: kernel split off before, nothing written after.",
  };
}

function releasesOf({ line }: Profile): string {
  return line;
}

/** A digest where it is context: `9f3c…a1b2`. */
function shorten(hex: string): string {
  return `${hex.slice(0, 8)}…${hex.slice(-4)}`;
}

interface Target {
  readonly erofs: ErofsVersion;
  readonly rules: TransformRules;
}

/** What a digest turned out to be right for. */
interface Match {
  readonly erofs: ErofsVersion;
  readonly times: Times;
  /** Lines of bootc releases that compute it; none for a format that none uses. */
  readonly lines: readonly string[];
}

/** Digests of the tree in all ways that somebody may have computed them, each computed once. */
class TreeDigests {
  readonly #context: LintContext;
  readonly #known = new Map<string, Promise<string>>();

  constructor(context: LintContext) {
    this.#context = context;
  }

  /** @throws SealError `input` when the tree has no such digest */
  compute(target: Target, algorithm: VerityAlgorithm, mtime: Times): Promise<string> {
    const key = JSON.stringify([target.erofs, target.rules, algorithm, mtime]);
    const digest = this.#known.get(key) ?? this.#digest(target, algorithm, mtime);
    this.#known.set(key, digest);
    return digest;
  }

  async #digest({ erofs, rules }: Target, algorithm: VerityAlgorithm, mtime: Times): Promise<string> {
    const rootfs = await this.#context.rootfsFor(algorithm);
    const options = { targets: [{ erofs, rules }], algorithm, transform: "boot", xattrs: "allowlist", mtime } as const;
    const [digest] = await composefsDigests(rootfs, options);
    return digest?.digest ?? "";
  }

  /** Whether a host with that release accepts the digest: of the mount, or of the layers with their whole seconds. */
  async isRight({ digest, algorithm, erofs }: CmdlineDigest, profile: Profile): Promise<boolean> {
    if (erofs !== null && erofs !== profile.erofs) return false;
    for (const mtime of TIMES) {
      if ((await this.compute(profile, algorithm, mtime)) === digest) return true;
    }
    return false;
  }

  /** What else a digest is right for; null: for nothing. */
  async explain({ digest, algorithm }: CmdlineDigest): Promise<Match | null> {
    for (const times of TIMES) {
      const lines: Profile[] = [];
      for (const profile of PROFILES) if (await this.#matches(digest, profile, algorithm, times)) lines.push(profile);
      const [first] = lines;
      if (first !== undefined) return { erofs: first.erofs, times, lines: lines.map(({ line }) => line) };
      for (const { rules } of PROFILES) {
        const target = { erofs: "v0", rules } as const;
        if (await this.#matches(digest, target, algorithm, times)) return { erofs: "v0", times, lines: [] };
      }
    }
    return null;
  }

  async #matches(digest: string, target: Target, algorithm: VerityAlgorithm, times: Times): Promise<boolean> {
    try {
      return (await this.compute(target, algorithm, times)) === digest;
    } catch (error) {
      // A release that refuses the tree did not compute this.
      if (error instanceof SealError) return false;
      throw error;
    }
  }
}
