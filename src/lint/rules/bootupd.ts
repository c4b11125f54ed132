import { nodeAt } from "../files.ts";
import { checked, type Rule } from "../rule.ts";

const PLACES = [
  "usr/bin/bootupctl",
  "usr/libexec/bootupd",
  "usr/lib/bootupd",
  "usr/lib/systemd/system/bootloader-update.service",
];

export const bootupdRule: Rule = {
  id: "bootupd",
  severity: "error",
  finds: "bootupd in an image that is sealed with systemd-boot",
  applies: "sealed",
  check: (context) =>
    checked(
      ...PLACES.filter((path) => nodeAt(context.rootfs, path) !== null)
        .slice(0, 1)
        .map((path) => ({
          path,
          message: "bootupd is in the image: bootc then installs GRUB with it instead of the signed systemd-boot.",
          fix: "remove the bootupd package before sealing.",
        })),
    ),
};
