import { IMAGE_CONFIGURATION, BOOTC_LABEL as LABEL, SEALED_VALUE as SEALED } from "../image.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

export const imageLabelRule: Rule = {
  id: "image-label",
  severity: "warning",
  finds: "no label containers.bootc, or containers.bootc=sealed on an image without a UKI",
  applies: "image",
  check: async ({ image, ukis }) => {
    if (image === null) return notApplicable("it is not an image");
    const value = image.config.config?.Labels?.[LABEL];
    if (value === undefined) {
      return checked({
        path: IMAGE_CONFIGURATION,
        message: `There is no label ${LABEL}: tools that list or install bootable images, or build disks from them, skip it.`,
        fix: `add LABEL ${LABEL}=${(await ukis()).length > 0 ? SEALED : 1} to the Containerfile, or seal it with seal image.`,
      });
    }
    if (value !== SEALED || (await ukis()).length > 0) return checked();
    return checked({
      path: IMAGE_CONFIGURATION,
      message: `The label says ${LABEL}=${SEALED}, but there is no UKI in boot/EFI/Linux: nothing in the image is sealed.`,
      fix: `seal it with seal image, or set the label to 1.`,
    });
  },
};
