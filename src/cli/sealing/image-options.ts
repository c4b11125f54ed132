/** The options of `seal image`. */
import { TARGET_KINDS } from "../../io/oci/image-target.ts";
import { attestSealedOptions } from "../options/attest-sealed.ts";
import { freshOptions, recompressOption } from "../options/fresh.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { htmlOptions } from "../options/html.ts";
import { flag, parsed, path, text } from "../options/option.ts";
import { sealPlatformOptions } from "../options/platform.ts";
import { writesImage } from "../options/risk.ts";
import { sealingOptions } from "../options/sealing.ts";
import { sealSource } from "../options/source.ts";

export const imageOptions = optionGroup("Images", {
  from: parsed(sealSource, {
    placeholder: "image",
    required: "give the image to seal",
    help: "image to seal: oci:PATH[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], docker://REF, containers-storage:REF, docker-daemon:REF; or dir:PATH, a root filesystem to build a new image from",
  }),
  to: text({
    risk: writesImage,
    placeholder: "image",
    required: `give ${TARGET_KINDS}`,
    help: `where to write the sealed image: ${TARGET_KINDS}; other tags of a layout are kept`,
  }),
})
  .and(recompressOption)
  .and(freshOptions)
  .and(sealingOptions.without("transform", "mtime", "digest", "platform", "stub", "bootloader"))
  .and(sealPlatformOptions)
  // The images of several platforms need one each.
  .and(
    optionGroup("Contents, as in ukify", {
      stub: path({
        many: true,
        help: "EFI stub to which the sections are added; repeatable, one for each architecture",
        shownDefault: "the root filesystem's, else this machine's",
      }),
    }),
  )
  .and(
    optionGroup("Boot layout", {
      bootloader: path({
        many: true,
        help: "systemd-boot; repeatable, one for each architecture",
        shownDefault: "the root filesystem's, else this machine's",
      }),
    }),
  )
  .and(attestSealedOptions)
  .and(optionGroup("Output", { json: flag({ help: "print the report as JSON" }) }))
  .and(htmlOptions);
export type ImageOptions = GroupValues<typeof imageOptions>;
