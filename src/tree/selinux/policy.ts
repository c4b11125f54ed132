/** Finds and reads the labelling policy of a root filesystem. */
import { equalBytes, type NamedBytes, utf8 } from "../../bytes.ts";
import { inputError } from "../../errors.ts";
import { type LabelStore, type Rootfs, readTreeFile } from "../rootfs.ts";
import type { TransformRules } from "../transform.ts";
import type { ContextIndex, LabelLookup } from "./contexts.ts";
import type { DirectoryLabels } from "./directory-index.ts";
import { KnownLabels } from "./known-labels.ts";
import { LABELS_VERSION, LabelTable } from "./label-table.ts";
import { type FileType, parseAliases, parseSelinuxType } from "./lines.ts";
import { PolicyText } from "./policy-text.ts";
import { WorkBudget } from "./regex/budget.ts";

const CONFIG = "/etc/selinux/config";
const SPEC_SUFFIXES = ["", ".local", ".homedirs"] as const;
const ALIAS_SUFFIXES = [".subs", ".subs_dist"] as const;

/** Which path gets which label. Paths are latin1 text: each character is a byte. */
class Policy implements LabelLookup {
  readonly #index: ContextIndex | KnownLabels;
  readonly #aliases: ReadonlyMap<string, string>;
  /** Directories with an alias in them, without a slash at their end. */
  readonly #aliasParents: ReadonlySet<string>;

  constructor(index: ContextIndex | KnownLabels, aliases: ReadonlyMap<string, string>) {
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

/** Builds a policy from its files in order. */
export function buildPolicy(
  files: readonly NamedBytes[],
  aliases: ReadonlyMap<string, string>,
  lookaround: TransformRules["lookaround"],
  subject: string,
): Policy {
  return new Policy(new PolicyText(files, lookaround, new WorkBudget(subject)).whole(), aliases);
}

/** A policy as it was read for some rules; null: there is none. */
interface Loaded {
  readonly lookaround: TransformRules["lookaround"];
  readonly policy: Policy | null;
  /** All that it was read from, by path; null: there was no such file. */
  readonly files: ReadonlyMap<string, Uint8Array | null>;
  /** Null: there is no store for its labels. */
  readonly known: KnownLabels | null;
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
  const texts = await readPolicy(rootfs, read);
  const { policy, known: labels } = await policyOf(texts, files, lookaround, rootfs.labels);
  loaded.set(rootfs, [...before, { lookaround, policy, files, known: labels }]);
  return policy;
}

/** The policy in the files of one. */
async function policyOf(
  texts: PolicyTexts | null,
  files: Loaded["files"],
  lookaround: TransformRules["lookaround"],
  store: LabelStore | undefined,
): Promise<Pick<Loaded, "policy" | "known">> {
  if (texts === null) return { policy: null, known: null };
  const { specs, aliases, subject } = texts;
  if (store === undefined) return { policy: buildPolicy(specs, aliases, lookaround, subject), known: null };
  const table = await store.find(storeKey(lookaround, files));
  const text = new PolicyText(specs, lookaround, new WorkBudget(subject));
  const known = new KnownLabels(table === null ? null : LabelTable.of(table), text);
  return { policy: new Policy(known, aliases), known };
}

/**
 * Has a store keep the labels that were looked up, where it does not know them.
 * @param rootfs whose policies {@link loadPolicy} has read
 */
export async function keepLabels(rootfs: Rootfs): Promise<void> {
  for (const { lookaround, files, known } of loaded.get(rootfs) ?? []) {
    const table = known?.encode() ?? null;
    if (table !== null) await rootfs.labels?.keep(storeKey(lookaround, files), table);
  }
}

/** All that labels depend on, apart from paths and types. */
function storeKey(lookaround: TransformRules["lookaround"], files: Loaded["files"]): readonly Uint8Array[] {
  const own = [...files].flatMap(([path, bytes]) => (bytes === null ? [] : [utf8(path), bytes]));
  return [utf8(`labels ${LABELS_VERSION}, lookaround ${lookaround}`), ...own];
}

/**
 * Has {@link loadPolicy} take what it read of another root filesystem, where this one has the same policy, byte for byte:
 * then nothing is parsed or compiled again. Labels from a store are not taken: who reads a tree again checks them, too.
 * @throws SealError `input` when the files of the policy can't be read
 */
export async function sharePolicy(rootfs: Rootfs, other: Rootfs): Promise<void> {
  const same: Loaded[] = [];
  for (const one of loaded.get(other) ?? []) {
    if (one.known === null && (await hasFiles(rootfs, one.files))) same.push(one);
  }
  loaded.set(rootfs, [...(loaded.get(rootfs) ?? []), ...same]);
}

async function hasFiles(rootfs: Rootfs, files: Loaded["files"]): Promise<boolean> {
  for (const [path, bytes] of files) {
    const own = await readTreeFile(rootfs, path);
    if (own === null || bytes === null ? own !== bytes : !equalBytes(own, bytes)) return false;
  }
  return true;
}

/** The files of a policy. */
interface PolicyTexts {
  /** `file_contexts` and its companions, in their order. */
  readonly specs: readonly NamedBytes[];
  readonly aliases: ReadonlyMap<string, string>;
  readonly subject: string;
}

async function readPolicy(
  rootfs: Rootfs,
  read: (path: string) => Promise<Uint8Array | null>,
): Promise<PolicyTexts | null> {
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
  const specs: NamedBytes[] = [];
  for (const suffix of SPEC_SUFFIXES) {
    const bytes = await read(base + suffix);
    if (bytes !== null) specs.push({ bytes, subject: rootfs.subject + base + suffix });
    else if (suffix === "") {
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
  return { specs, aliases, subject: rootfs.subject + base };
}

/** The xattr that carries a label. */
export const SELINUX_XATTR = utf8("security.selinux");
