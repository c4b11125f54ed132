/** Which image of several is read. */
import { optionGroup } from "./group.ts";
import { text } from "./option.ts";

export const platformOptions = optionGroup("Image", {
  platform: text({
    placeholder: "os/arch",
    help: "which image of a multi-platform image is read, os/architecture[/variant]",
    shownDefault: "linux on this machine's architecture",
    complete: ["linux/amd64", "linux/arm64", "linux/riscv64", "linux/s390x", "linux/ppc64le"],
  }),
});
