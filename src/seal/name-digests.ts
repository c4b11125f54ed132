/** Names the digests of a root filesystem on a kernel command line, in the form that the requested releases accept. */
import { composefsKarg, type KargStyle } from "../boot/cmdline.ts";
import type { RootMount } from "../boot/hosts.ts";
import { type KernelFiles, readKernel } from "../boot/kernel.ts";
import { placeDigests } from "../boot/place-digests.ts";
import type { TreeUkiOptions } from "../boot/tree-uki.ts";
import { chunksOf, joinChunks } from "../chunks.ts";
import type { DigestTarget, TreeDigest } from "../composefs/digest.ts";
import { SealError } from "../errors.ts";
import { useLibzstd } from "../io/libzstd.ts";
import { openRootfs } from "../io/rootfs.ts";
import type { RootfsSource } from "../io/rootfs-source.ts";
import { mountByFacts, mountOfTree } from "../lint/root-mount.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { digestRootfs, type RootfsDigests, type TreeToDigest } from "./digest.ts";
import { type DigestPlan, withCandidates } from "./digest-plan.ts";
import type { KernelAhead } from "./kernel-ahead.ts";
import type { Ports } from "./ports.ts";

const NOT_LOOKED_AT: RootMount = { kind: "unknown", why: "there is no initramfs to look into" };

/** A digest with the kernel argument that names it. */
export interface NamedDigest extends TreeDigest {
  readonly karg: string;
}

/** What the form of digests on a command line depends on, apart from the releases. */
export interface NamingOptions {
  /** See `composefsKarg`. */
  readonly allowMissingVerity?: boolean | undefined;
  /** What mounts the root; absent: unknown. */
  readonly mount?: RootMount | undefined;
}

/**
 * The digests of a plan as arguments of a kernel command line, in their order there: in the requested form; for several
 * named releases, or if nothing was named, as {@link placeDigests} chooses, which may leave some out; otherwise one in
 * the short form and the others in the long one.
 * @throws SealError `usage` for releases that exclude each other
 */
export async function nameDigests(
  { digests, plan, hosts }: Pick<RootfsDigests, "digests" | "plan" | "hosts">,
  { allowMissingVerity = false, mount = NOT_LOOKED_AT }: NamingOptions = {},
): Promise<readonly NamedDigest[]> {
  const { kargStyle, hosts: named, isOpen } = plan;
  const name = (digest: TreeDigest, style: KargStyle) => ({
    ...digest,
    karg: composefsKarg(digest, style, { allowMissingVerity }),
  });
  if (kargStyle !== null && kargStyle !== "both") return digests.map((digest) => name(digest, kargStyle));
  if (kargStyle === null && digests.length > 1 && (isOpen || named.length > 1)) {
    const placed = placeDigests({ digests, hosts: await hosts(), named, mount });
    return placed.flatMap(({ erofs, digest, style }) => {
      const own = digests.find((one) => one.digest === digest && one.erofs === erofs);
      return own === undefined ? [] : [name(own, style)];
    });
  }
  // bootc 1.17 refuses a second short one. V0 has no other form.
  const short = digests.find(({ erofs }) => erofs === "v0") ?? digests.at(-1);
  return [
    ...digests.filter((digest) => digest !== short).map((digest) => name(digest, "composefs.digest")),
    ...(short === undefined ? [] : [name(short, "composefs")]),
  ];
}

/** Digests that are on a command line, and what was read to decide that. */
export interface NamedDigests<Computed> {
  /** With only the digests that are on it. */
  readonly computed: Computed;
  readonly kargs: readonly string[];
  /** The kernel of the tree, where it was read; see `TreeUkiOptions.treeKernel`. */
  readonly treeKernel: KernelFiles | null;
  /** What mounts the root; null: not examined. */
  readonly mount: RootMount | null;
}

/** The parts of a UKI that decide on the form: its kernel, and what Linux unpacks as its initramfs. */
export interface NamingInputs extends Pick<NamingOptions, "allowMissingVerity"> {
  readonly uki?: Partial<Pick<TreeUkiOptions, "kernel" | "kver" | "extras">> | undefined;
}

/**
 * {@link nameDigests} for a UKI of the tree; its initramfs is examined if that can make a difference.
 * @throws SealError as {@link nameDigests}
 */
export function nameForUki<Computed extends RootfsDigests>(
  computed: Computed,
  inputs: NamingInputs,
): Promise<NamedDigests<Computed>> {
  return nameWithKernel(computed, inputs, Promise.resolve(null));
}

/**
 * {@link nameForUki} of a tree whose kernel may have been examined already.
 * @param ahead see {@link KernelWatch}
 * @throws SealError as {@link nameDigests}
 */
export async function nameWithKernel<Computed extends RootfsDigests>(
  computed: Computed,
  { uki, allowMissingVerity }: NamingInputs,
  ahead: Promise<KernelAhead | null>,
): Promise<NamedDigests<Computed>> {
  if (!isMountNeeded(computed.plan)) {
    const named = await nameDigests(computed, { allowMissingVerity });
    return { computed, kargs: named.map(({ karg }) => karg), treeKernel: null, mount: null };
  }
  const { rootfs } = computed;
  const looked = await ahead;
  if (looked !== null) {
    const mount = await mountByFacts(rootfs, looked.facts);
    return withMount(computed, { allowMissingVerity, mount }, looked.files);
  }
  useLibzstd();
  const treeKernel = uki?.kernel ?? (await readTreeKernel(rootfs, uki?.kver ?? null));
  const initrds = treeKernel === null ? null : [treeKernel.initramfs, ...(uki?.extras?.initrds ?? [])].map(chunksOf);
  const mount: RootMount = initrds === null ? NOT_LOOKED_AT : await mountOfTree(rootfs, joinChunks(...initrds));
  return withMount(computed, { allowMissingVerity, mount }, treeKernel);
}

/** Has the kernel of a tree examined while its digests are computed, which says what mounts the root. */
export interface KernelWatch {
  /** Begins; see `Reading.beforeDigests`. */
  readonly begin: (rootfs: Rootfs) => void;
  /** What was found, with its error; null: it has to be read now, or is not needed. */
  readonly ahead: () => Promise<KernelAhead | null>;
}

/** The kernel of the tree, as far as the names of its digests depend on it. */
export async function watchKernel(plan: DigestPlan, naming: NamingInputs): Promise<KernelWatch> {
  let ahead: Promise<KernelAhead | null> = Promise.resolve(null);
  if (!isMountNeeded(plan) || !isKernelOfTree(naming)) return { begin: () => {}, ahead: () => ahead };
  const { kernelAhead } = await import("./kernel-ahead.ts");
  return {
    begin: (rootfs) => {
      ahead = kernelAhead(rootfs, naming.uki?.kver ?? null);
      // Its error is thrown where it is awaited.
      ahead.catch(() => {});
    },
    ahead: () => ahead,
  };
}

/** Whether Linux unpacks only the initramfs of the tree. */
function isKernelOfTree({ uki }: NamingInputs): boolean {
  return (uki?.kernel ?? null) === null && (uki?.extras?.initrds ?? []).length === 0;
}

/** Whether what mounts the root decides which digests of a plan are used, and how. */
function isMountNeeded({ targets, kargStyle }: DigestPlan): boolean {
  return targets.length > 1 && kargStyle === null;
}

async function withMount<Computed extends RootfsDigests>(
  computed: Computed,
  options: NamingOptions & { readonly mount: RootMount },
  treeKernel: KernelFiles | null,
): Promise<NamedDigests<Computed>> {
  const named = await nameDigests(computed, options);
  const { mount } = options;
  return { computed: narrowed(computed, named), kargs: named.map(({ karg }) => karg), treeKernel, mount };
}

/** Null: there is none, which is reported when it is needed. */
async function readTreeKernel(rootfs: Rootfs, kver: string | null): Promise<KernelFiles | null> {
  try {
    return await readKernel(rootfs, kver);
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

function narrowed<Computed extends RootfsDigests>(computed: Computed, named: readonly NamedDigest[]): Computed {
  const digests = computed.digests.filter(({ digest }) => named.some((one) => one.digest === digest));
  const [first, ...others] = digests.map(({ target }) => target);
  const targets: readonly [DigestTarget, ...DigestTarget[]] =
    first === undefined ? computed.plan.targets : [first, ...others];
  return { ...computed, digests, plan: { ...computed.plan, targets } };
}

/** Where the digests on the command line come from. */
export interface NamedRootfsOptions extends NamingInputs {
  readonly plan: DigestPlan;
  /** 128 or 64 lower-case hex digits; without: the digests of the plan are computed. */
  readonly digest?: string | undefined;
  readonly treeToDigest?: TreeToDigest | undefined;
  /** Called when the digests are known, with null if one was given; the kernel may not have been examined yet. */
  readonly onDigest?: ((computed: RootfsDigests | null) => void) | undefined;
}

/** A root filesystem and the kernel arguments that name its digests; for a given digest nothing is computed. */
export interface NamedRootfs extends NamedDigests<RootfsDigests | null> {
  readonly rootfs: Rootfs;
}

/**
 * Reads a root filesystem and names its digests, or the one that is known already.
 * @throws SealError `usage` for one digest where the plan has several; as {@link digestRootfs} and {@link nameDigests}
 */
export async function openNamed(
  source: RootfsSource,
  { plan, digest, treeToDigest, onDigest, ...naming }: NamedRootfsOptions,
  ports: Ports,
): Promise<NamedRootfs> {
  if (digest === undefined) {
    const wanted = withCandidates(plan);
    const kernel = await watchKernel(wanted, naming);
    const computed = await digestRootfs(source, wanted, ports, { treeToDigest, beforeDigests: kernel.begin });
    onDigest?.(computed);
    return {
      rootfs: computed.rootfs,
      ...(await nameWithKernel(computed, naming, kernel.ahead())),
    };
  }
  const { kargStyle, platform } = plan;
  const [{ erofs }, second] = plan.targets;
  if (second !== undefined || kargStyle === "both") {
    throw new SealError("usage", "--digest: gives one digest; give only one --erofs and one --bootc");
  }
  const { cwd, remote, cache } = ports;
  const { rootfs } = await openRootfs(source, { algorithm: null, xattrs: [], cwd, remote, cache, platform });
  onDigest?.(null);
  const known = { erofs, algorithm: digest.length === 64 ? "sha256" : "sha512", digest } as const;
  const karg = composefsKarg(known, kargStyle ?? "composefs", naming);
  return { rootfs, computed: null, kargs: [karg], treeKernel: null, mount: null };
}
