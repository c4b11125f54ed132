/** The public API, in the order of the pipeline. */

// Errors

export { EXIT_CODES, SealError, type SealErrorCode } from "./errors.ts";

// The whole chain: use cases that read and write

export { chooseBootloader, findBootloader } from "./seal/bootloader.ts";
export { type ImageSealing, type SealImageOptions, sealImage } from "./seal/image.ts";
export { FRESH_DEFAULTS, type FreshOptions, type LowerLayers } from "./seal/lower-layers.ts";
export { LAYOUT_DEFAULTS, type SealOptions, UKI_DEFAULTS } from "./seal/options.ts";
export {
  findPlatforms,
  type PlatformImage,
  type PlatformImages,
  type PlatformsSealing,
  type SealablePlatform,
  type SealPlatformsOptions,
  sealablePlatforms,
  sealPlatforms,
} from "./seal/platforms.ts";
export { type Ports, type Progress, QUIET, type ScanProgress } from "./seal/ports.ts";
export type { Recompression, RewrittenLayer } from "./seal/recompress.ts";
export { type RootfsSealing, type SealRootfsOptions, sealRootfs } from "./seal/rootfs.ts";
export { checkSigned } from "./seal/signed-programs.ts";
export { machineStub } from "./seal/stub.ts";
export {
  type BuiltUki,
  buildUki,
  type SealedTree,
  type SealTreeOptions,
  type SignedProgram,
  type Signing,
  sealTree,
  signAddons,
  signProgram,
} from "./seal/tree.ts";
export { type Judged, judgeHosts, type SealedUki } from "./seal/verdicts.ts";
export {
  type CompletedSeal,
  type CompleteSealOptions,
  completeSeal,
} from "./seal/with-uki.ts";
export type { SealedImage } from "./seal/written-image.ts";

// 1. A root filesystem as a tree

export { type ImageTarget, type LayoutTarget, parseImageTarget, type RemoteTarget } from "./io/oci/image-target.ts";
export { type CopyProgress, RemoteImages } from "./io/oci/remote-images.ts";
export type { RegistryAccess, SkopeoOptions } from "./io/oci/skopeo.ts";
export { openRootfs } from "./io/rootfs.ts";
export {
  type DirectorySource,
  type ImageSource,
  isImage,
  type OpenedImage,
  type OpenedRootfs,
  type OpenOptions,
  parseImageOrDirectory,
  parseRootfsSource,
  type RootfsSource,
} from "./io/rootfs-source.ts";
export type { ScanOptions, ScanStats } from "./io/scan.ts";
export { transformTree } from "./tree/apply.ts";
export { type CompareOptions, compareTrees, type Difference, type Field } from "./tree/compare.ts";
export { type DumpfileDialect, parseDumpfile, writeDumpfile } from "./tree/dumpfile.ts";
export type * from "./tree/node.ts";
export { type LabelStore, type Resolved, type Rootfs, readTreeFile, resolvePath } from "./tree/rootfs.ts";
export type { TransformOptions, TransformRules } from "./tree/transform.ts";

// 2. The tree as an EROFS image and its digest

export {
  type ComposefsDigest,
  composefsDigests,
  type DigestHex,
  type DigestsOptions,
  type DigestTarget,
  erofsDigest,
  type TreeDigest,
} from "./composefs/digest.ts";
export type { ErofsOptions } from "./composefs/inodes.ts";
export { seriesOf } from "./composefs/named-release.ts";
export { type ErofsImage, readErofs } from "./composefs/reader.ts";
export { LATEST_RELEASE, SERIES } from "./composefs/releases.ts";
export type { ErofsVersion, Series, VerityAlgorithm } from "./composefs/series.ts";
export { VerityHasher, verityDigest } from "./composefs/verity.ts";
export { writeErofs } from "./composefs/writer.ts";

export {
  digestRootfs,
  type ImageDigests,
  type Reading,
  type RootfsDigests,
} from "./seal/digest.ts";
export {
  DIGEST_DEFAULTS,
  type DigestOptions,
  type DigestPlan,
  type MtimeChoice,
  mtimeFor,
  planDigest,
} from "./seal/digest-plan.ts";
export { type NamedDigest, type NamingOptions, nameDigests, nameForUki } from "./seal/name-digests.ts";

// 3. What boot loader and kernel see

export type { BootAddon } from "./boot/addons.ts";
export { treeBootloader } from "./boot/bootloader.ts";
export {
  type CmdlineArgument,
  type CmdlineDigest,
  type ComposefsDigests,
  checkCmdline,
  composefsKarg,
  findComposefsDigests,
  findComposefsWords,
  joinCmdline,
  type KargStyle,
  type MalformedDigest,
  parseCmdline,
} from "./boot/cmdline.ts";
export { type HostVerdict, hostVerdicts, type ImageDefect, type JudgedImage, type RootMount } from "./boot/hosts.ts";
export { describeVerdicts } from "./boot/hosts-text.ts";
export { type KargsFile, kargsFor, parseKargs, readKargs } from "./boot/kargs.ts";
export { findKernels, type KernelFiles, readKernel, type TreeKernel } from "./boot/kernel.ts";
export { menuTitle, type OsRelease, parseOsRelease } from "./boot/os-release.ts";
export { type PlacedDigest, type Placement, placeDigests } from "./boot/place-digests.ts";
export { type BootFile, type BootInput, type BootPlan, planBoot } from "./boot/plan.ts";
export {
  NO_EXTRAS,
  type SectionSource,
  type TreeUki,
  type TreeUkiOptions,
  treeUki,
  type UkiExtras,
} from "./boot/tree-uki.ts";
export { type HostDigest, type HostDigestsOptions, hostDigests } from "./composefs/host-digests.ts";

// 4. PE files and UKIs

export { type AuthentihashAlgorithm, authentihash } from "./pe/authentihash.ts";
export { decompressKernel } from "./pe/decompress.ts";
export { findSection, type PeImage, type PeSection, parsePe, sectionData } from "./pe/headers.ts";
export { kernelVersion } from "./pe/kernel-version.ts";
export { assembleUki } from "./pe/uki.ts";
export { type UkiInputs, type UkiSection, ukiSections } from "./pe/uki-sections.ts";

// 5. Keys and signatures

export { ownEfivars, readEfivars } from "./seal/efivars.ts";
export { type BootMachine, type BootVerdict, type ProgramVerdict, verifyBoot } from "./seal/verify-boot.ts";
export { type SignOptions, signingWarnings, signPe } from "./sign/authenticode.ts";
export { trustOfPolicy } from "./sign/authority.ts";
export { parseVariableUpdate, signVariableChange, type VariableChange, type VariableUpdate } from "./sign/authvar.ts";
export { type Certificate, type ParsedCertificate, parseCertificate } from "./sign/certificate.ts";
export { joinDatabases, readDatabase, type SignatureDatabase } from "./sign/database.ts";
export {
  attachRawSignature,
  attachSignature,
  exportRequest,
  exportToBeSigned,
  type RawSignatureInput,
} from "./sign/detached.ts";
export type { EfiTime } from "./sign/efi-time.ts";
export { type Enrolment, type Enrolments, enroll } from "./sign/enroll.ts";
export { createExternalSigner, type RawSigner } from "./sign/external-signer.ts";
export { type Guid, parseGuid } from "./sign/guid.ts";
export { openKeyFile, readCertificateFile } from "./sign/key-file.ts";
export { createKeySet, type KeySet, type KeySetInput } from "./sign/keys.ts";
export { type ListOptions, signatureListsOf } from "./sign/list-source.ts";
export { parseVariableStore, type StoredVariable, type VariableStore, writeVariableStore } from "./sign/ovmf.ts";
export { type Pkcs11Uri, parsePkcs11Uri } from "./sign/pkcs11-uri.ts";
export { createRsaSigner, createSignerFrom, type KeyFile, type LabelledKey } from "./sign/rsa-signer.ts";
export { encodeSignatureLists, parseSignatureLists, type SignatureList } from "./sign/siglist.ts";
export type { Signer } from "./sign/signer.ts";
export { identifyUpdate, signUpdate, type UpdateVerdict } from "./sign/update-signature.ts";
export { type Outcome, type PeVerdict, type SignatureVerdict, type Trust, verifyPe } from "./sign/verify.ts";

// 6. What a machine measures

export { extendingEvents, findLogDifference, type LoggedEvent, parseEventLog } from "./pe/event-log.ts";
export { type MeasuredSet, measuredSets, type PcrPrediction, predictPcr11 } from "./pe/measure.ts";
export { type BankValues, type PcrBank, type PcrEvent, replayEvents } from "./pe/pcr-events.ts";
export { PePass } from "./pe/pe-pass.ts";
export { profileGroups } from "./pe/profiles.ts";
export { fileBootPath, treeBootPaths } from "./seal/boot-path.ts";
export { bootReferences } from "./seal/boot-reference.ts";
export { checkLog, type LogCheck, type LogCheckOptions } from "./seal/check-log.ts";
export {
  type BootPath,
  type BootReference,
  bootReference,
  type PcrReference,
  type ReferenceOptions,
  type WayReference,
  withoutRefusedAddons,
} from "./sign/boot-reference.ts";
export { readPolicy, type SecureBootPolicy } from "./sign/secure-boot-policy.ts";
export type { VerifierReference } from "./verifiers/format.ts";
export { keylimeReferenceState } from "./verifiers/keylime.ts";
export { nitroTpmMeasurements } from "./verifiers/nitro-tpm.ts";
export { pcrlockComponents } from "./verifiers/pcrlock.ts";
export { trusteeMessage } from "./verifiers/trustee.ts";

// 7. What is stated of an image, signed, and whether it is true

export {
  formatBundle,
  formatEnvelope,
  parseBundle,
  parseEnvelope,
  type SignedBy,
  type SignedStatement,
  signedBy,
  toBeSigned,
} from "./attest/bundle.ts";
export {
  type Claim,
  type ClaimResult,
  claimsOf,
  compareClaims,
  provenanceResults,
  type Unknown,
} from "./attest/claims.ts";
export { type Making, PROVENANCE_TYPE, type Provenance, provenanceOf } from "./attest/provenance.ts";
export { SEALED_IMAGE_TYPE, type StatedImage } from "./attest/sealed-image.ts";
export { type AttestSigner, checkAttestKey, externalSigner, keyHint, keySigner } from "./attest/signer.ts";
export { formatStatement, parseStatement, type Statement, subjectProblem } from "./attest/statement.ts";
export { type FoundImage, type FoundImages, findImages } from "./io/oci/referrers.ts";
export {
  type Attestation,
  type AttestTarget,
  attachAttestations,
  type ImageStatement,
  type Stated,
  type StateOptions,
  sharedKeyWarning,
  signStatements,
  stateImages,
} from "./seal/attest.ts";
export { type DescribedImage, type DescribeOptions, describeImage } from "./seal/describe-image.ts";
export {
  type AttestationVerdict,
  type ImageVerdict,
  type VerifyOptions,
  verifyImages,
} from "./seal/verify-attestations.ts";

// 8. Is it sound?

export { createContext, type LintContext, type LintOptions } from "./lint/context.ts";
export { toJson as lintToJson } from "./lint/report-json.ts";
export { toSarif as lintToSarif } from "./lint/report-sarif.ts";
export { type Painter, toText as lintToText } from "./lint/report-text.ts";
export type { Problem, Rule, RuleResult, Severity } from "./lint/rule.ts";
export { RULES } from "./lint/rules/index.ts";
export { type Finding, type LintReport, runRules, selectRules } from "./lint/run.ts";

// 9. Types and lists that the ones above mention

export type { BootcVersion } from "./boot/bootc-version.ts";
export { type ComposefsWord, KARG_STYLES, type MalformedWord } from "./boot/cmdline.ts";
export { ENROLL_MODES, type EnrollMode, type LoaderOptions } from "./boot/entries.ts";
export { type DefectId, REASONS, type Reason, type ReasonId, STEPS, type Step, type StepName } from "./boot/hosts.ts";
export type { Initramfs, InitramfsArchive, InitramfsFile } from "./boot/initramfs.ts";
export type { BootUki } from "./boot/plan.ts";
export type { TakenOut } from "./boot/sealed-layers.ts";
export type { NamedBytes } from "./bytes.ts";
export type { Chunks, StoredBytes } from "./chunks.ts";
export type { TargetTree } from "./composefs/digest.ts";
export type { FormatDigest } from "./composefs/host-digests.ts";
export { type DigestReader, type Evidence, FACTS, type Fact } from "./composefs/series.ts";
export type { TreeRecord } from "./composefs/tree-record.ts";
export type { TreeBlockSink } from "./composefs/verity.ts";
export type { Environment } from "./io/exec.ts";
export type { LayerCacheOptions } from "./io/oci/cache-directory.ts";
export type { CachedLayer, CacheKey, StoredContent, StoredFrame } from "./io/oci/cache-entry.ts";
export type { CompressionChoice } from "./io/oci/compress.ts";
export type { Compression } from "./io/oci/decompress.ts";
export type { FileStore } from "./io/oci/file-store.ts";
export type { ImageList, ListedImage } from "./io/oci/image-list.ts";
export type { WrittenImage, WrittenIndex } from "./io/oci/image-writer.ts";
export type { ContentNeeds } from "./io/oci/kept-contents.ts";
export type { Layer } from "./io/oci/layer.ts";
export type { LayerCache } from "./io/oci/layer-cache.ts";
export type { LayerMemory } from "./io/oci/layer-memory.ts";
export type { Placed } from "./io/oci/push-image.ts";
export type { ReadBack } from "./io/oci/read-back.ts";
export type { LayerReading } from "./io/oci/read-contents.ts";
export type { PutOptions } from "./io/oci/remote-images.ts";
export type { StoredFile } from "./io/oci/stored-file.ts";
export type { ArchiveSource, LocalImageSource, RemoteImageSource, TreeSource } from "./io/rootfs-source.ts";
export type { ProgressListener } from "./io/scan.ts";
export type { XattrFilter } from "./io/xattrs.ts";
export type { AnsweredQuestion, NextImageAnswers } from "./lint/answers.ts";
export type { BootProgram, ProgramRole, ReadProgram } from "./lint/boot-programs.ts";
export type { BootWay, InitramfsFacts } from "./lint/boot-ways.ts";
export type { InstalledMachine } from "./lint/context.ts";
export type { UkiFacts, UkiHosts } from "./lint/hosts.ts";
export type { LintImage, LintLayer, RecordOf } from "./lint/image.ts";
export type { LayerHistory, LayerPlace, LayerSecret, LayerTimes } from "./lint/layer-history.ts";
export { ROOT_PROGRAMS, type RootSetup, type Starter } from "./lint/root-setup.ts";
export type { Answer, Question } from "./lint/rule.ts";
export type { Unanswered } from "./lint/run.ts";
export type { RevocationLevel } from "./lint/sbat-level.ts";
export type { Match, RootfsReader, TreeDigests } from "./lint/tree-digests.ts";
export type { BlobAlgorithm, BlobDigest } from "./oci/digest.ts";
export type { Annotations, Blob, HistoryEntry, ImageLayer, StoredLayer } from "./oci/edit.ts";
export type { LayerStep } from "./oci/history.ts";
export type { Json, JsonObject } from "./oci/json.ts";
export type { LayerForm, StoredForm } from "./oci/layer-form.ts";
export type { Platform } from "./oci/platform.ts";
export type { OtherEntry } from "./oci/platform-index.ts";
export type { Descriptor, ImageConfig, StoredImage } from "./oci/schemas.ts";
export { EFI_ARCHES, type EfiArch } from "./pe/arch.ts";
export { AUTHENTIHASH_ALGORITHMS, type HashForm } from "./pe/authentihash.ts";
export type { RangeSum } from "./pe/checksum.ts";
export type { DataDirectory } from "./pe/headers.ts";
export { EVENT_TYPES, type EventType, type Measured, PCR_BANKS } from "./pe/pcr-events.ts";
export type { PolicyEntry, PolicyKey, PolicySignatures } from "./pe/pcr-policy.ts";
export type { PassPurpose } from "./pe/pe-pass.ts";
export type { SbatSource } from "./pe/sbat.ts";
export type { MeasuredBoot, MeasuredUki, PcrPlan, PolicyPlan } from "./pe/uki-pcrs.ts";
export type { Uncovered } from "./seal/boot-files.ts";
export type { BootChoices } from "./seal/describe-boots.ts";
export type { TreeToDigest } from "./seal/digest.ts";
export type { PreparedRootfs } from "./seal/image-preparation.ts";
export type { NamedDigests, NamingInputs } from "./seal/name-digests.ts";
export type { Enrolled } from "./seal/options.ts";
export type { Change, Preparation, PreparedKey, PreparedLoader } from "./seal/preparation.ts";
export type { MachineShim } from "./seal/starting-shims.ts";
export type { ProgramOutcome } from "./seal/verify-boot.ts";
export { VIEW_NOTE_KINDS, type ViewNote } from "./seal/view-notes.ts";
export type { ImagePolicy } from "./sign/authority.ts";
export {
  type OtherVariable,
  type SecureBootVariable,
  VARIABLE_ATTRIBUTES,
  VARIABLE_VENDORS,
  type Variable,
  type VariableAttribute,
} from "./sign/authvar.ts";
export type { ListedCertificateHash, ListedHash } from "./sign/database.ts";
export type { DerValue } from "./sign/der.ts";
export type { EnrollKeys, EnrollProblem, EnrollUpdate } from "./sign/enroll-keys.ts";
export type { AddedTrust } from "./sign/join-trust.ts";
export { KEY_ROLES, type KeyMaterial, type KeyRole, type SecureBootKey } from "./sign/keys.ts";
export type { LoggableWay, LogMismatch, LogVerdict, PassedOver } from "./sign/log-comparison.ts";
export { MISMATCH_REASONS, type MismatchReason } from "./sign/log-words.ts";
export type { TokenAttribute } from "./sign/pkcs11-uri.ts";
export type { ListedSignature } from "./sign/siglist.ts";
export type { SignedAttributes, SignedMessage } from "./sign/signed-data.ts";
export type { UpdatePurpose } from "./sign/update-signature.ts";
export type { LayerEntry } from "./tree/build.ts";
export type { FileChanges, PlacedFile } from "./tree/file-changes.ts";
export type { LayerContents } from "./tree/layer-contents.ts";
export type { HiddenFile, LayerObserver } from "./tree/layer-observer.ts";
export type { Links } from "./tree/links.ts";
export type { MountFacts } from "./tree/rootfs.ts";
export { STREAM_KINDS, type StreamKind } from "./unpack/unpack.ts";
export type { Variant } from "./verifiers/format.ts";
