/** Which image of several is read. */
import { optionGroup } from "./group.ts";
import { flag, text } from "./option.ts";

/** Offered by completion; any other one is taken too. */
const PLATFORMS = ["linux/amd64", "linux/arm64", "linux/riscv64", "linux/s390x", "linux/ppc64le"];

export const platformOptions = optionGroup("Image", {
  platform: text({
    placeholder: "os/arch",
    help: "which image of a multi-platform image is read, os/architecture[/variant]",
    shownDefault: "linux on this machine's architecture",
    complete: PLATFORMS,
  }),
});

/** Of verbs that answer for each image of a multi-platform image. */
export const allPlatformsOption = optionGroup("Image", {
  allPlatforms: flag({
    help: "reads the images for all platforms, one after the other, and answers for each",
    excludes: ["platform"],
  }),
});

/** Of the verb that makes a multi-platform image of another one. */
export const sealPlatformOptions = optionGroup("Image", {
  platform: text({
    many: true,
    placeholder: "os/arch",
    help: "which image of a multi-platform image is sealed, os/architecture[/variant]; repeatable, for an index of several",
    shownDefault: "linux on this machine's architecture",
    complete: PLATFORMS,
  }),
  allPlatforms: flag({
    help: "seals the images for all platforms of --from, and writes them with an index",
    excludes: ["platform"],
    requires: {
      anyOf: ["from"],
      matching: /^(?!dir:)/,
      problem: "goes with the image to seal; what is made of a directory is for one platform",
    },
  }),
});
