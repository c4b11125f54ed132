/** Which image of several is read. */
import { optionGroup } from "./group.ts";
import { flag, text } from "./option.ts";

/** Offered by completion; any other one is taken too. */
const PLATFORMS = ["linux/amd64", "linux/arm64", "linux/riscv64", "linux/s390x", "linux/ppc64le"];

export const platformOptions = optionGroup("Image", {
  platform: text({
    placeholder: "os/arch",
    help: "platform to read from a multi-platform image, os/architecture[/variant]",
    shownDefault: "linux on this machine's architecture",
    complete: PLATFORMS,
  }),
});

/** Of verbs that answer for each image of a multi-platform image. */
export const allPlatformsOption = optionGroup("Image", {
  allPlatforms: flag({
    help: "process the images of all platforms, one after the other",
    excludes: ["platform"],
  }),
});

/** Of the verb that makes a multi-platform image of another one. */
export const sealPlatformOptions = optionGroup("Image", {
  platform: text({
    many: true,
    placeholder: "os/arch",
    help: "platform to seal from a multi-platform image, os/architecture[/variant]; repeatable, the result is an index",
    shownDefault: "linux on this machine's architecture",
    complete: PLATFORMS,
  }),
  allPlatforms: flag({
    help: "seal the images of all platforms of --from and write them with an index",
    excludes: ["platform"],
    requires: {
      anyOf: ["from"],
      matching: /^(?!dir:)/,
      problem: "requires an image to seal; an image built from a directory has one platform",
    },
  }),
});
