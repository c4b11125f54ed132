import { checked, type Rule } from "../rule.ts";

export const ukiMissingRule: Rule = {
  id: "uki-missing",
  severity: "error",
  finds: "a sealed tree without a UKI in /boot/EFI/Linux",
  applies: "sealed",
  check: async (context) => {
    if ((await context.ukis()).length > 0) return checked();
    return checked({
      path: "boot/EFI/Linux",
      message: "There is a /boot, but no UKI (*.efi) in it: the boot loader has nothing to start.",
      fix: "make it with seal rootfs, or with seal build-uki and seal boot-layout.",
    });
  },
};
