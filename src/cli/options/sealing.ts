/** The options of the verbs that do the whole chain: digest, UKI, boot layout, signatures. */
import { dumpOptions, layoutOptions } from "./layout.ts";
import { signingOptions } from "./signing.ts";
import { ukiOptions } from "./uki.ts";
import { ukiRootfsOptions } from "./uki-rootfs.ts";

/**
 * The root filesystem itself answers some here, instead of an option or in place of an option's other default; some
 * print what build-uki only prints.
 */
export const sealingOptions = ukiRootfsOptions
  .and(ukiOptions)
  .without("rootfs", "linux", "measure", "policyDigest")
  .with({
    osRelease: { shownDefault: "the root filesystem's" },
    uname: { shownDefault: "the name of the kernel's directory" },
    stub: { shownDefault: "the root filesystem's, else this machine's" },
    efiArch: { shownDefault: "that of the kernel" },
  })
  .and(layoutOptions)
  .and(dumpOptions)
  .and(signingOptions);
