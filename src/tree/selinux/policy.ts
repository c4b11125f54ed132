/** Finds and reads the labelling policy of a root filesystem. */
import { equalBytes, utf8 } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import { type Rootfs, readTreeFile } from "../rootfs.ts";
import type { TransformRules } from "../transform.ts";
import { ContextIndex, type LabelLookup } from "./contexts.ts";
import type { DirectoryLabels } from "./directory-index.ts";
import { type FileType, parseAliases, parseSelinuxType, parseSpecLines, type SpecLine } from "./lines.ts";
import { WorkBudget } from "./regex/budget.ts";

const CONFIG = "/etc/selinux/config";
const SPEC_SUFFIXES = ["", ".local", ".homedirs"] as const;
const ALIAS_SUFFIXES = [".subs", ".subs_dist"] as const;

/** Which path gets which label. Paths are latin1 text: each character is a byte. */
class Policy implements LabelLookup {
  readonly #index: ContextIndex;
  readonly #aliases: ReadonlyMap<string, string>;
  /** Directories with an alias in them, without a slash at their end. */
  readonly #aliasParents: ReadonlySet<string>;

  constructor(index: ContextIndex, aliases: ReadonlyMap<string, string>) {
    this.#index = index;
    this.#aliases = aliases;
    this.#aliasParents = new Set([...aliases.keys()].map((path) => path.slice(0, path.lastIndexOf("/"))));
  }

  /** Whether it is the same to releases that take {@link TransformRules.lookaround} otherwise. */
  get isForAll(): boolean {
    return !this.#index.hasPcre;
  }

  /** The path that this one is an alias of, as a whole. */
  alias(path: string): string | undefined {
    return this.#aliases.get(path);
  }

  /** The label of a path, always the same object for the same label; null: it gets none. */
  lookup(path: string, type: FileType): Uint8Array | null {
    return this.#index.lookup(path, type);
  }

  /** Null: one of the entries may be an alias, so that each needs its own path. */
  directory(path: string, parent: DirectoryLabels | null): DirectoryLabels | null {
    if (this.#aliasParents.has(path)) return null;
    return parent === null ? this.#index.directory(path) : parent.enter(path.slice(path.lastIndexOf("/") + 1));
  }
}

/** Builds a policy from the lines of its files in order. */
export function buildPolicy(
  lines: readonly SpecLine[],
  aliases: ReadonlyMap<string, string>,
  lookaround: TransformRules["lookaround"],
  subject: string,
): Policy {
  return new Policy(new ContextIndex(lines, lookaround, new WorkBudget(subject)), aliases);
}

/** A policy as it was read for some rules; null: there is none. */
interface Loaded {
  readonly lookaround: TransformRules["lookaround"];
  readonly policy: Policy | null;
  /** All that it was read from, by path; null: there was no such file. */
  readonly files: ReadonlyMap<string, Uint8Array | null>;
}

/** Of root filesystems that are in use: each of the trees that are made of one wants it. */
const loaded = new WeakMap<Rootfs, readonly Loaded[]>();

/**
 * Reads the policy that `/etc/selinux/config` names.
 * @returns null when there is no configuration, or it names no policy
 * @throws SealError `input` when the policy is incomplete, is reached through a refused symlink or has an invalid line
 */
export async function loadPolicy(
  rootfs: Rootfs,
  { lookaround }: Pick<TransformRules, "lookaround">,
): Promise<Policy | null> {
  const before = loaded.get(rootfs) ?? [];
  const known = before.find((one) => one.lookaround === lookaround || one.policy === null || one.policy.isForAll);
  if (known !== undefined) return known.policy;
  const files = new Map<string, Uint8Array | null>();
  const read = async (path: string) => {
    const bytes = await readTreeFile(rootfs, path);
    files.set(path, bytes);
    return bytes;
  };
  const policy = await readPolicy(rootfs, read, lookaround);
  loaded.set(rootfs, [...before, { lookaround, policy, files }]);
  return policy;
}

/**
 * Has {@link loadPolicy} take what it read of another root filesystem, where this one has the same policy, byte for byte:
 * then nothing is parsed or compiled again.
 * @throws SealError `input` when the files of the policy can't be read
 */
export async function sharePolicy(rootfs: Rootfs, other: Rootfs): Promise<void> {
  const same: Loaded[] = [];
  for (const one of loaded.get(other) ?? []) if (await hasFiles(rootfs, one.files)) same.push(one);
  loaded.set(rootfs, [...(loaded.get(rootfs) ?? []), ...same]);
}

async function hasFiles(rootfs: Rootfs, files: Loaded["files"]): Promise<boolean> {
  for (const [path, bytes] of files) {
    const own = await readTreeFile(rootfs, path);
    if (own === null || bytes === null ? own !== bytes : !equalBytes(own, bytes)) return false;
  }
  return true;
}

async function readPolicy(
  rootfs: Rootfs,
  read: (path: string) => Promise<Uint8Array | null>,
  lookaround: TransformRules["lookaround"],
): Promise<Policy | null> {
  const config = await read(CONFIG);
  if (config === null) return null;
  const name = parseSelinuxType(config, `${rootfs.subject}${CONFIG}`);
  if (name === null) return null;
  const isPlain = name !== "" && !name.startsWith("/") && !name.includes("\0") && !name.split("/").includes("..");
  if (!isPlain) {
    throw inputError(
      rootfs.subject,
      `${CONFIG}: SELINUXTYPE=${JSON.stringify(name)} names no policy; give the name of a directory below /etc/selinux`,
    );
  }

  const base = `/etc/selinux/${name}/contexts/files/file_contexts`;
  const lines: SpecLine[] = [];
  for (const suffix of SPEC_SUFFIXES) {
    const bytes = await read(base + suffix);
    if (bytes !== null) {
      for (const line of parseSpecLines(bytes, rootfs.subject + base + suffix)) lines.push(line);
    } else if (suffix === "") {
      throw inputError(
        rootfs.subject,
        `${base} is missing, but ${CONFIG} asks for that policy; install it, or remove SELINUXTYPE there`,
      );
    }
  }
  const aliases = new Map<string, string>();
  for (const suffix of ALIAS_SUFFIXES) {
    const bytes = await read(base + suffix);
    if (bytes !== null) parseAliases(bytes, rootfs.subject + base + suffix, aliases);
  }
  return buildPolicy(lines, aliases, lookaround, rootfs.subject + base);
}

/** The xattr that carries a label. */
export const SELINUX_XATTR = utf8("security.selinux");
