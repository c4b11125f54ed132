/** All rules, in the order in which they run and are listed: the chain from kernel to boot loader, then the tree. */
import type { Rule } from "../rule.ts";
import { addonRule } from "./addon.ts";
import { afterEspRule } from "./after-esp.ts";
import { afterKeysRule } from "./after-keys.ts";
import { afterMachineRule } from "./after-machine.ts";
import { afterReleaseRule } from "./after-release.ts";
import { afterRollbackRule } from "./after-rollback.ts";
import { afterSbatRule } from "./after-sbat.ts";
import { afterSignatureRule } from "./after-signature.ts";
import { apiBaseDirectoriesRule } from "./api-base-directories.ts";
import { baseimageComposefsRule } from "./baseimage-composefs.ts";
import { baseimageRootRule } from "./baseimage-root.ts";
import { bootEntryRule } from "./boot-entry.ts";
import { bootcKargsRule } from "./bootc-kargs.ts";
import { bootcReleaseRule } from "./bootc-release.ts";
import { bootloaderDiffersRule } from "./bootloader-differs.ts";
import { bootloaderEntriesRule } from "./bootloader-entries.ts";
import { bootloaderInstalledRule } from "./bootloader-installed.ts";
import { bootloaderMissingRule } from "./bootloader-missing.ts";
import { bootloaderSbatRule } from "./bootloader-sbat.ts";
import { bootloaderSignatureRule } from "./bootloader-signature.ts";
import { bootupdRule } from "./bootupd.ts";
import { buildahInjectedRule } from "./buildah-injected.ts";
import { builderFilesRule } from "./builder-files.ts";
import { composefsDirsRule } from "./composefs-dirs.ts";
import { enrollKeysRule } from "./enroll-keys.ts";
import { etcUsretcRule } from "./etc-usretc.ts";
import { fileOwnersRule } from "./file-owners.ts";
import { imageLabelRule } from "./image-label.ts";
import { imageLayersRule } from "./image-layers.ts";
import { imageWasteRule } from "./image-waste.ts";
import { kargsIgnoredRule } from "./kargs-ignored.ts";
import { kargsRootRule } from "./kargs-root.ts";
import { kernelRule } from "./kernel.ts";
import { kernelInitramfsRule } from "./kernel-initramfs.ts";
import { kernelVerityRule } from "./kernel-verity.ts";
import { nonemptyBootRule } from "./nonempty-boot.ts";
import { nonemptyRunTmpRule } from "./nonempty-run-tmp.ts";
import { notAUkiRule } from "./not-a-uki.ts";
import { notSealedRule } from "./not-sealed.ts";
import { rawKernelRule } from "./raw-kernel.ts";
import { secretsRule } from "./secrets.ts";
import { selinuxPermissiveRule } from "./selinux-permissive.ts";
import { subsecondMtimeRule } from "./subsecond-mtime.ts";
import { sysusersRule } from "./sysusers.ts";
import { ukiArchRule } from "./uki-arch.ts";
import { ukiDigestRule } from "./uki-digest.ts";
import { ukiDigestCountRule } from "./uki-digest-count.ts";
import { ukiInitramfsRule } from "./uki-initramfs.ts";
import { ukiInsecureRule } from "./uki-insecure.ts";
import { ukiMissingRule } from "./uki-missing.ts";
import { ukiNameRule } from "./uki-name.ts";
import { ukiOsrelRule } from "./uki-osrel.ts";
import { ukiSbatRule } from "./uki-sbat.ts";
import { ukiSignatureRule } from "./uki-signature.ts";
import { ukiSizeRule } from "./uki-size.ts";
import { ukiSymlinkRule } from "./uki-symlink.ts";
import { utf8Rule } from "./utf8.ts";
import { varLogRule } from "./var-log.ts";
import { varRunRule } from "./var-run.ts";
import { varTmpfilesRule } from "./var-tmpfiles.ts";

/** All lint rules, in the order of reports. */
export const RULES: readonly Rule[] = [
  kernelRule,
  kernelInitramfsRule,
  kernelVerityRule,
  rawKernelRule,
  notSealedRule,
  ukiMissingRule,
  ukiNameRule,
  ukiSymlinkRule,
  ukiDigestRule,
  ukiDigestCountRule,
  bootcReleaseRule,
  ukiInsecureRule,
  ukiSignatureRule,
  ukiSbatRule,
  ukiOsrelRule,
  ukiArchRule,
  ukiSizeRule,
  ukiInitramfsRule,
  notAUkiRule,
  addonRule,
  bootEntryRule,
  bootloaderMissingRule,
  bootloaderSignatureRule,
  bootloaderInstalledRule,
  bootloaderSbatRule,
  bootloaderDiffersRule,
  bootloaderEntriesRule,
  bootupdRule,
  composefsDirsRule,
  bootcKargsRule,
  kargsIgnoredRule,
  kargsRootRule,
  selinuxPermissiveRule,
  subsecondMtimeRule,
  builderFilesRule,
  fileOwnersRule,
  varRunRule,
  etcUsretcRule,
  nonemptyRunTmpRule,
  nonemptyBootRule,
  buildahInjectedRule,
  utf8Rule,
  apiBaseDirectoriesRule,
  baseimageRootRule,
  baseimageComposefsRule,
  varLogRule,
  varTmpfilesRule,
  sysusersRule,
  imageLabelRule,
  imageLayersRule,
  imageWasteRule,
  secretsRule,
  enrollKeysRule,
  afterMachineRule,
  afterReleaseRule,
  afterSignatureRule,
  afterEspRule,
  afterKeysRule,
  afterSbatRule,
  afterRollbackRule,
];
