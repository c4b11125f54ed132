/** What the result of a boot test means, and what somebody may do about it. */
import type { RootProblem } from "../../boot/console/lines.ts";
import { AUTO_KEYS } from "../../boot/esp-sources.ts";
import { shortDigest } from "../../text.ts";
import type { BootTestReport } from "./schema.ts";

/** Null where the summary says it all. */
export function advice(report: BootTestReport): string | null {
  const { end, reached, expect, accelerator, corrupted, problem, boot, root, refused, image } = report;
  if (end === "no-root" && problem !== null) return rootAdvice(problem, report);
  if (corrupted !== null)
    return "the disk was changed or is damaged: the kernel gives nobody what differs from its digest; install the image again";
  switch (end) {
    case "not-enforced":
      if (root === null)
        return "it needs systemd 256 and a shell to say so; print the line of / in /proc/mounts behind SEAL-BOOT-TEST, see docs/boot-test.md, or give --allow-missing-verity";
      return root.source.startsWith("transient:")
        ? "its root is transient, an overlay that does not show what the composefs image below enforces; --allow-missing-verity accepts it"
        : `the command line says composefs=?, or the initramfs does not insist: changed files would be read as if nothing had happened. See seal lint ${boot}; --allow-missing-verity accepts it`;
    case "timeout":
      if (accelerator === "kvm" && reached === "nothing") return "try --accel tcg";
      return "give more time with --timeout, or read the console with --keep-log";
    case "off":
      return expect === null
        ? "the last lines say what it was at; --keep-log writes all of them"
        : `the text ${JSON.stringify(expect)} did not come; --keep-log has what did`;
    case "refused":
      if (image !== null && refused?.by === "firmware") {
        return `sign ${image.loader} with a key in db before the image is sealed, in the stage that is: seal prepare / --key KEY --cert CERT. What is in /boot bootc leaves there`;
      }
      return `seal verify ${refused?.file ?? "FILE"} --cert db.crt (and --dbx) says what is wrong with it; sign it with a key in db, or give the certificate of the key that signed it (--enroll, --cert)`;
    case "failed":
      return "what firmware or boot loader should start is missing, damaged or of another architecture; seal boot-layout writes all of it";
    case "panic":
      return "the last lines say what the kernel missed; seal inspect shows initramfs and command line of the UKI";
    case "not-enrolled":
      return image === null
        ? "see secure-boot-enroll in loader/loader.conf"
        : `seal lint ${boot} reads the keys in ${AUTO_KEYS}; seal prepare --enroll-keys puts others there`;
    case "pcr-mismatch":
      return "seal measure --reference says what the values are made of";
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
        ? "the repository has no image of that digest: the UKI was sealed for other content than what is installed"
        : `the repository has no image of that digest: the UKI demands ${list(image.demanded)}, the layers give ${list(image.stored)}. It was sealed for other content; run seal diff ROOTFS ${boot} to see which`;
    case "no-digest":
      return "the UKI's command line has no composefs=: build it from the root filesystem (seal build-uki --rootfs, seal image)";
    case "malformed-digest":
      return "a composefs= on the UKI's command line is no digest; seal inspect shows it";
    case "repository-without-verity":
      return "the filesystem of the disk has no fs-verity: use ext4 with the feature verity, or btrfs";
    case "image-without-verity":
      return "the image in the repository has no fs-verity: somebody replaced it, or it was copied from elsewhere; install it again";
    case "image-changed":
      return "the image in the repository is not the one that its name says: somebody replaced it; install it again";
    case "no-repository":
      return "the disk has no composefs repository; install the image";
    case "no-state":
      return "the disk has no state/deploy for that digest, which the installer makes: install the image again";
  }
}

function list(digests: readonly string[]): string {
  return digests.length === 0 ? "none" : digests.map((digest) => shortDigest(digest)).join(", ");
}
