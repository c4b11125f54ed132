/** What the result of a boot test means, and what to do about it. */
import type { RootProblem } from "../../boot/console/lines.ts";
import { AUTO_KEYS } from "../../boot/esp-sources.ts";
import { shortDigest } from "../../text.ts";
import type { BootTestReport } from "./schema.ts";

/** Null where the summary says it all. */
export function advice(report: BootTestReport): string | null {
  const { end, reached, expect, accelerator, corrupted, problem, boot, root, refused, image } = report;
  if (end === "no-root" && problem !== null) return rootAdvice(problem, report);
  if (corrupted !== null)
    return "the disk was modified or is damaged: the kernel refuses data that differs from its digest; install the image again";
  switch (end) {
    case "not-enforced":
      if (root === null)
        return "reporting it takes systemd 256 and a shell; print SEAL-BOOT-TEST and the line of / in /proc/mounts, see docs/boot-test.md, or give --allow-missing-verity";
      return root.source.startsWith("transient:")
        ? "its root is transient: an overlay that hides whether the composefs image below enforces fs-verity; --allow-missing-verity accepts it"
        : `the command line says composefs=?, or the initramfs does not insist on fs-verity: changed files would be read unnoticed. See seal lint ${boot}; --allow-missing-verity accepts it`;
    case "timeout":
      if (accelerator === "kvm" && reached === "nothing") return "try --accel tcg";
      return "raise --timeout, or read the console with --keep-log";
    case "off":
      return expect === null
        ? "the last lines show what it was doing; --keep-log writes all of them"
        : `the text ${JSON.stringify(expect)} did not appear; --keep-log writes the whole console`;
    case "refused":
      if (image !== null && refused?.by === "firmware") {
        return `sign ${image.loader} with a key in db before sealing, in the stage to be sealed: seal prepare / --key KEY --cert CERT. bootc does not use what is in /boot`;
      }
      return `seal verify ${refused?.file ?? "FILE"} --cert db.crt (and --dbx) shows what is wrong; sign it with a key in db, or give the certificate of the key that signed it (--enroll, --cert)`;
    case "failed":
      return "what the firmware or boot loader should start is missing, damaged or for another architecture; seal boot-layout writes all of it";
    case "panic":
      return "the last lines say what the kernel lacks; seal inspect shows the UKI's initramfs and command line";
    case "not-enrolled":
      return image === null
        ? "see secure-boot-enroll in loader/loader.conf"
        : `seal lint ${boot} reads the keys in ${AUTO_KEYS}; seal prepare --enroll-keys installs others`;
    case "pcr-mismatch":
      return "seal measure --reference shows how the values are computed";
    case "emergency":
      return "the initramfs or the system could not start a unit that it needs; read the console with --keep-log";
    default:
      return null;
  }
}

function rootAdvice(problem: RootProblem, { image, boot }: BootTestReport): string {
  switch (problem) {
    case "no-image":
      return image === null
        ? "the repository has no image with that digest: the UKI was sealed for content other than what is installed"
        : `the repository has no image with that digest: the UKI demands ${list(image.demanded)}, the layers have ${list(image.stored)}. It was sealed for other content; seal diff ROOTFS ${boot} shows the difference`;
    case "no-digest":
      return "the UKI's command line has no composefs=: build it from the root filesystem (seal build-uki --rootfs, seal image)";
    case "malformed-digest":
      return "a composefs= on the UKI's command line is not a digest; seal inspect shows it";
    case "repository-without-verity":
      return "the filesystem of the disk has no fs-verity: use ext4 with the feature verity, or btrfs";
    case "image-without-verity":
      return "the image in the repository has no fs-verity: it was replaced or copied from elsewhere; install it again";
    case "image-changed":
      return "the image in the repository does not match its name: it was replaced; install it again";
    case "no-repository":
      return "the disk has no composefs repository; install the image";
    case "no-state":
      return "the disk has no state/deploy for that digest, which the installer creates; install the image again";
  }
}

function list(digests: readonly string[]): string {
  return digests.length === 0 ? "none" : digests.map((digest) => shortDigest(digest)).join(", ");
}
