/**
 * The whole chain: a root filesystem and its digests -> command line -> UKI -> signatures on UKI and boot loader -> the
 * files of `/boot`. Everything with side effects is passed in: the reader of the root filesystem, the signer, the time.
 */
import type { BootAddon } from "../boot/addons.ts";
import { type BootInput, type BootPlan, planBoot } from "../boot/plan.ts";
import { type TreeUki, type TreeUkiOptions, treeUki } from "../boot/tree-uki.ts";
import { readCertificateTable } from "../pe/certtable.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { isMeasured } from "../pe/measure.ts";
import { assembleUki, crowdedStub } from "../pe/uki.ts";
import { type MeasuredUki, measureGroups, type PcrPlan } from "../pe/uki-pcrs.ts";
import { checkNames, type UkiInputs, type UkiSection, ukiSections } from "../pe/uki-sections.ts";
import { type SignOptions, signingWarnings, signPe } from "../sign/authenticode.ts";
import type { Signer } from "../sign/signer.ts";
import { verifyPe } from "../sign/verify.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { hashAhead } from "./hash-ahead.ts";

/** Who signs, and the times that matter for that. */
export interface Signing {
  readonly signer: Signer;
  /** The time in the signatures; null for none, which makes them reproducible. */
  readonly time: Date | null;
  /** The current time, for the validity of existing signatures. */
  readonly now: Date;
  /** Whether the kernel in a UKI is signed too; null: unless it has a signature already, which is kept. */
  readonly kernel: boolean | null;
}

/** An EFI program as it will be written, and whether this run signed it. */
export interface SignedProgram {
  readonly pe: PeImage;
  readonly signed: "already" | "now" | "no";
  /** One line each. */
  readonly warnings: readonly string[];
}

/** Everything that a root filesystem is sealed with; nothing is looked up elsewhere. */
export interface SealTreeOptions {
  readonly uki: TreeUkiOptions;
  /** systemd-boot for the architecture of the UKI, as it will be written. */
  readonly bootloader: (uki: TreeUki) => Promise<SignedProgram>;
  /** Null: nothing is signed. */
  readonly signing: Signing | null;
  /** Absent: PCR 11 is not predicted, and no policies are signed. */
  readonly pcrs?: PcrPlan | undefined;
  /** Addons are signed too. */
  readonly layout: Pick<BootInput, "entryToken" | "enrollKeys" | "loader" | "addons" | "dump">;
}

/** A root filesystem that was sealed: UKI, boot loader and the files of `/boot`. */
export interface SealedTree {
  readonly tree: TreeUki;
  /** Null if no prediction was requested. */
  readonly measured: MeasuredUki | null;
  readonly uki: PeImage;
  readonly bootloader: SignedProgram;
  /** All EFI programs in the plan, addons too. */
  readonly programs: readonly PeImage[];
  readonly plan: BootPlan;
  /** Of all steps, in order, one line each. */
  readonly warnings: readonly string[];
}

/**
 * Seals a root filesystem.
 * @param rootfs the tree that `options.uki.digests` are the digests of
 * @throws SealError as {@link treeUki}, {@link buildUki}, {@link signProgram} and {@link planBoot} do
 */
export async function sealTree(rootfs: Rootfs, options: SealTreeOptions): Promise<SealedTree> {
  return whenMeasured(await sealTreeAhead(rootfs, options));
}

/** A root filesystem that was sealed, and whose PCR 11 may still be computed. */
export interface SealedAhead extends Omit<SealedTree, "measured"> {
  /** Its error comes here. */
  readonly measuring: AssembledUki["measuring"];
}

/** @throws SealError where PCR 11 can't be predicted */
export async function whenMeasured({ measuring, ...sealed }: SealedAhead): Promise<SealedTree> {
  return { ...sealed, measured: await measuring };
}

/**
 * {@link sealTree} for who can do something with the result while large sections are hashed for PCR 11.
 * @throws SealError as {@link sealTree}, but for what {@link SealedAhead.measuring} throws
 */
export async function sealTreeAhead(rootfs: Rootfs, options: SealTreeOptions): Promise<SealedAhead> {
  const { signing } = options;
  const tree = await treeUki(rootfs, options.uki);
  const uki = await assembleAndSign(tree.inputs, `${tree.kver}.efi`, signing, options.pcrs);
  const bootloader = await options.bootloader(tree);
  const addons = await signAddons(options.layout.addons ?? [], signing);
  const plan = planBoot({
    ...options.layout,
    addons: addons.map(({ addon }) => addon),
    ukis: [{ pe: uki.pe, fileName: uki.pe.subject, kernel: tree.inputs.kernel }],
    bootloader: bootloader.pe,
  });
  const warnings = [
    ...tree.warnings,
    ...uki.warnings,
    ...bootloader.warnings,
    ...addons.flatMap((one) => one.warnings),
    ...plan.warnings,
  ];
  const programs = [uki.pe, bootloader.pe, ...addons.map(({ pe }) => pe)];
  return { tree, measuring: uki.measuring, uki: uki.pe, bootloader, programs, plan, warnings };
}

/** A finished UKI, not yet written. */
export interface BuiltUki {
  readonly inputs: UkiInputs;
  readonly pe: PeImage;
  /** Null when nothing was to be predicted. */
  readonly measured: MeasuredUki | null;
  /** One line each. */
  readonly warnings: readonly string[];
}

/**
 * Assembles a UKI and signs it.
 * @param name what the result is called in messages: the path that it will be written to
 * @param pcrs what PCR 11 is predicted and signed for; nothing without
 * @throws SealError as {@link ukiSections}, `measureGroups`, {@link assembleUki} and signing do
 * @example
 * ```ts
 * import { readFile, writeFile } from "node:fs/promises";
 * import { buildUki, NO_EXTRAS, parsePe } from "seal";
 *
 * const stub = parsePe([await readFile("linuxx64.efi.stub")], "linuxx64.efi.stub");
 * const kernel = parsePe([await readFile("vmlinuz")], "vmlinuz");
 * const texts = { osRelease: await readFile("os-release"), cmdline: Buffer.from("quiet"), uname: "6.12.0" };
 * const initrds = [await readFile("initrd.img")];
 * const { pe } = await buildUki({ ...NO_EXTRAS, ...texts, stub, kernel, initrds }, "linux.efi", null);
 * await writeFile("linux.efi", pe.file);
 * ```
 */
export async function buildUki(
  inputs: UkiInputs,
  name: string,
  signing: Signing | null,
  pcrs?: PcrPlan,
): Promise<BuiltUki> {
  const { measuring, ...assembled } = await assembleAndSign(inputs, name, signing, pcrs);
  return { ...assembled, measured: await measuring };
}

/** A UKI that is complete, and whose PCR 11 may still be computed. */
export interface AssembledUki extends Omit<BuiltUki, "measured"> {
  /** Its error comes here. */
  readonly measuring: Promise<MeasuredUki | null>;
}

/**
 * {@link buildUki} for who can do something with the UKI while its large sections are hashed for PCR 11.
 * @throws SealError as {@link buildUki}, but for what {@link AssembledUki.measuring} throws
 */
export async function assembleAndSign(
  inputs: UkiInputs,
  name: string,
  signing: Signing | null,
  pcrs?: PcrPlan,
): Promise<AssembledUki> {
  const kernel = await signedKernel(inputs.kernel, signing);
  const { groups, warnings: skipped } = ukiSections({ ...inputs, kernel: kernel.pe });
  // A single profile is measured as a part of the UKI that it gets joined to.
  const isProfile = inputs.profile !== null && inputs.joinedProfiles.length === 0;
  const measuring = pcrs === undefined || isProfile ? Promise.resolve(null) : measure(groups, pcrs, name);
  // Its error comes where it is waited for.
  measuring.catch(() => {});
  // Signed policies become sections; without any, the UKI is signed while its sections are hashed.
  const isNeeded = pcrs !== undefined && pcrs.policies.length > 0;
  const sections = ((isNeeded ? await measuring : null)?.groups ?? groups).flat();
  checkNames(sections);
  const unsigned = parsePe(assembleUki(inputs.stub, sections), name);
  const uki = signing === null ? unchanged(unsigned) : await addSignature(unsigned, signing, { append: true });
  const crowded = crowdedStub(inputs.stub, unsigned);
  const warnings = [...kernel.warnings, ...skipped, ...(crowded === null ? [] : [crowded]), ...uki.warnings];
  return { inputs, pe: uki.pe, measuring, warnings };
}

/** `measureGroups`, for which large sections are hashed on other threads. */
async function measure(
  groups: readonly (readonly UkiSection[])[],
  plan: PcrPlan,
  subject: string,
): Promise<MeasuredUki> {
  const measured = groups.flat().filter(isMeasured);
  await hashAhead(
    measured.map(({ content }) => content),
    plan.banks,
  );
  return measureGroups(groups, plan, subject);
}

/** A program after a step that may have signed it, with warnings, one line each. */
interface Signed<Pe> {
  readonly pe: Pe;
  readonly warnings: readonly string[];
}

function unchanged<Pe>(pe: Pe): Signed<Pe> {
  return { pe, warnings: [] };
}

/** Firmware checks the kernel too when an old stub starts it through LoadImage. */
async function signedKernel(kernel: PeImage | null, signing: Signing | null): Promise<Signed<PeImage | null>> {
  if (kernel === null || signing === null) return unchanged(kernel);
  const wanted = signing.kernel ?? kernel.certificateTable === null;
  return wanted ? addSignature(kernel, signing, { append: true }) : unchanged(kernel);
}

/**
 * Signs an EFI program unless it has a valid signature by the same certificate. Valid signatures by others are kept.
 * @param signing null: nothing is signed, which is a warning for a program without any signature
 * @throws SealError as {@link signPe}
 */
export async function signProgram(pe: PeImage, signing: Signing | null): Promise<SignedProgram> {
  if (signing === null) {
    if (readCertificateTable(pe).length > 0) return { pe, signed: "already", warnings: [] };
    const warning = `${pe.subject} is not signed; with Secure Boot no machine starts it. Give --key and --cert`;
    return { pe, signed: "no", warnings: [warning] };
  }
  const certificates = [signing.signer.certificate];
  const report = verifyPe(pe, { certificates, now: signing.now });
  if (report.valid) return { pe, signed: "already", warnings: [] };
  const append = report.signatures.every(({ outcome }) => outcome !== "invalid");
  const replaced = append ? [] : [`${pe.subject} had an invalid signature, which is replaced`];
  const signed = await addSignature(pe, signing, { append });
  return { pe: signed.pe, signed: "now", warnings: [...replaced, ...signed.warnings] };
}

/**
 * {@link signProgram} of addons.
 * @throws SealError as {@link signPe}
 */
export async function signAddons(
  addons: readonly BootAddon[],
  signing: Signing | null,
): Promise<(SignedProgram & { readonly addon: BootAddon })[]> {
  const signed: (SignedProgram & { readonly addon: BootAddon })[] = [];
  for (const addon of addons) {
    const program = await signProgram(addon.pe, signing);
    signed.push({ ...program, addon: { ...addon, pe: program.pe } });
  }
  return signed;
}

async function addSignature(
  pe: PeImage,
  { signer, time }: Signing,
  { append }: Pick<SignOptions, "append">,
): Promise<Signed<PeImage>> {
  const warnings = signingWarnings(pe);
  return { pe: await signPe(pe, signer, { append, signingTime: time }), warnings };
}
