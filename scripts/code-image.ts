/** What code is kept for reading: an image with an SELinux policy and files of several kinds. */
import { fileURLToPath } from "node:url";

/** As verbs take it. */
export const CODE_IMAGE = `oci-archive:${fileURLToPath(new URL("../test/vectors/oci/boot-selinux.oci.tar", import.meta.url))}`;
