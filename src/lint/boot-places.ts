/**
 * Where files in the /boot of a sealed tree belong, as firmware (UEFI 2.10, section 3.5.1.1), shim, systemd-boot
 * (systemd-boot(7), "Files") and systemd-stub (systemd-stub(7), "Companion Files") look for them.
 */

/** Below /boot. FAT ignores case; bootc does not, below EFI/Linux. */
const KNOWN: readonly RegExp[] = [
  /^EFI\/.+\.efi$/i,
  /^EFI\/[^/]+\/[^/]+\.csv$/i,
  /^EFI\/Linux\/[^/]+\.efi\.extra\.d\/[^/]+\.(?:cred|raw)$/i,
  /^loader\/(?:loader\.conf|entries\.srel)$/i,
  /^loader\/entries\/[^/]+\.conf$/i,
  /^loader\/addons\/[^/]+\.addon\.efi$/i,
  /^loader\/credentials\/[^/]+\.cred$/i,
  /^loader\/(?:extensions|confexts)\/[^/]+\.raw$/i,
  /^loader\/keys\/[^/]+\/[^/]+\.(?:auth|esl|cer|crt|der|pem)$/i,
];

/** Whether some program at boot looks at a file there. @param path below /boot */
export function isBootPlace(path: string): boolean {
  return KNOWN.some((pattern) => pattern.test(path));
}
