import { checked, type Rule } from "../rule.ts";

export const bootloaderMissingRule: Rule = {
  id: "bootloader-missing",
  severity: "error",
  finds: "no boot loader in EFI/BOOT or EFI/systemd",
  applies: "sealed",
  check: async (context) => {
    const loaders = (await context.programs()).filter(({ role }) => role === "loader");
    if (loaders.length === 0) {
      return checked({
        path: "boot/EFI/BOOT",
        message: "There is no boot loader here or in EFI/systemd: firmware finds nothing to start.",
        fix: "add systemd-boot with seal boot-layout.",
      });
    }
    // Firmware without a boot entry looks only there.
    if (loaders.some(({ path }) => /^boot\/EFI\/BOOT\/BOOT/i.test(path))) return checked();
    return checked({
      severity: "warning",
      path: "boot/EFI/BOOT",
      message:
        "There is no boot loader under the name that firmware tries by default: the disk starts only on machines that have a boot entry for it.",
      fix: "add systemd-boot there too, with seal boot-layout.",
    });
  },
};
